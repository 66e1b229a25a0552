# hone_library(NAME [LINK lib...] [PRIVATE lib...]): a static library of every .c file below the current folder.
# hone_program(NAME ENTRY main.c [LINK lib...]): an executable of the .c files of the current folder.
#
# Headers are included by their path from the top ("core/status.h"). Each library exports an include folder of
# its own, in which only its own folder is visible, so that what is not linked cannot be included.

add_library(hone_flags INTERFACE)
target_compile_options(hone_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
  -fno-strict-aliasing -ffp-contract=off)
target_compile_definitions(hone_flags INTERFACE _POSIX_C_SOURCE=200809L HONE_VERSION="${PROJECT_VERSION}")
set(watched 1)
if(HONE_FUZZ) # which lines are reached is counted too; the kernels (object libraries) read no file
  set(watched $<NOT:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,OBJECT_LIBRARY>>)
  set(counted -fprofile-instr-generate -fcoverage-mapping)
  target_compile_options(hone_flags INTERFACE -g "$<${watched}:-fsanitize=fuzzer-no-link;${counted}>")
  target_link_options(hone_flags INTERFACE ${counted})
endif()
if(HONE_SANITIZE)
  target_compile_options(hone_flags INTERFACE -fno-omit-frame-pointer -g
    "$<${watched}:-fsanitize=${HONE_SANITIZE};-fno-sanitize-recover=all>")
  target_link_options(hone_flags INTERFACE -fsanitize=${HONE_SANITIZE})
  if(HONE_SANITIZE MATCHES address AND CMAKE_C_COMPILER_ID STREQUAL Clang)
    target_compile_definitions(hone_flags INTERFACE __SANITIZE_ADDRESS__=1) # gcc says so by itself
  endif()
endif()

# <build>/include/<name>/<name> -> <source>/<name>: the only include path a library exports.
function(hone_export_headers name)
  set(view ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${view})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${name} ${view}/${name} SYMBOLIC)
  target_include_directories(hone_${name} PUBLIC ${view})
endfunction()

function(hone_library name)
  cmake_parse_arguments(ARG "" "" "LINK;PRIVATE;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  foreach(pattern ${ARG_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  add_library(hone_${name} STATIC ${sources})
  target_link_libraries(hone_${name} PUBLIC ${ARG_LINK} PRIVATE hone_flags ${ARG_PRIVATE})
  hone_export_headers(${name})
endfunction()

# The program's parts are a library hone_<folder>, so that tests can call them; ENTRY holds main.
function(hone_program name)
  cmake_parse_arguments(ARG "" "ENTRY" "LINK" ${ARGN})
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_ENTRY})
  add_library(hone_${folder} STATIC ${sources})
  target_link_libraries(hone_${folder} PUBLIC ${ARG_LINK} PRIVATE hone_flags)
  hone_export_headers(${folder})
  add_executable(${name} ${ARG_ENTRY})
  target_link_libraries(${name} PRIVATE hone_flags hone_${folder})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
