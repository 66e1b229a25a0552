/* unit: what every test includes: cmocka with the headers it needs in the order it wants. */
#ifndef HONE_TESTS_UNIT_H
#define HONE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "core/status.h"

#endif
