#define CPU_ISA backend
#include "core/mem.h"
#include "kernels/cpu/cpu.h"

#ifdef CPU_X86
#include <cpuid.h>
#endif
#include <stdlib.h>
#include <string.h>

/* One table per instruction set, from cpu_table.c. */
extern const Ops cpu_ops_portable;
#ifdef CPU_X86
extern const Ops cpu_ops_avx2, cpu_ops_avx512;
#endif

typedef struct Isa {
    const char *name;
    const Ops *ops;
    bool usable; /* on this processor */
} Isa;

enum { MAX_ISAS = 3 };

#ifdef CPU_X86
/* clang has no word for it in __builtin_cpu_supports. */
static bool has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}
#endif

/* The best first. Returns how many. */
static int list_isas(Isa out[MAX_ISAS]) {
    int n = 0;
#ifdef CPU_X86
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    out[n++] = (Isa){"avx512", &cpu_ops_avx512, avx512};
    out[n++] = (Isa){"avx2", &cpu_ops_avx2, avx2};
#endif
    out[n++] = (Isa){"portable", &cpu_ops_portable, true};
    return n;
}

/* The best usable one, or what HONE_ISA names. */
static Status choose_isa(Isa *out) {
    Isa isas[MAX_ISAS];
    int n = list_isas(isas);
    const char *forced = getenv("HONE_ISA");
    for (int i = 0; i < n; i++) {
        if (forced && *forced ? strcmp(isas[i].name, forced) != 0 : !isas[i].usable) continue;
        if (!isas[i].usable)
            return status_fail(ERR_DEVICE, "HONE_ISA=%s: this processor does not have it; unset it",
                               forced);
        *out = isas[i];
        return OK;
    }
    return status_fail(ERR_DEVICE, "HONE_ISA=%s is unknown; use avx512, avx2 or portable", forced);
}

static Status cpu_open(Dev *dev) {
    Isa isa = {0};
    TRY(choose_isa(&isa));
    CpuState *state = calloc(1, sizeof *state);
    if (!state) return status_fail(ERR_OS, "out of memory: %zu bytes", sizeof *state);
    dev->state = state;
    size_t bytes = (size_t)dev->threads * CPU_SCRATCH_BYTES;
    state->scratch = mem_try_aligned(bytes);
    if (!state->scratch) return status_fail(ERR_OS, "out of memory: %zu bytes of scratch", bytes);
    dev->ops = isa.ops;
    dev->isa = isa.name;
    return OK;
}

static void cpu_close(Dev *dev) {
    CpuState *state = dev->state;
    if (!state) return;
    mem_free(state->scratch);
    free(state);
}

const Backend cpu_backend = {.name = "cpu",
                             .real = DTYPE_F32,
                             .is_host = true,
                             .ops = &cpu_ops_portable,
                             .open = cpu_open,
                             .close = cpu_close};
