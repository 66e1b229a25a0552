/* script: which script a character belongs to, as the pre-tokenizer UnicodeScripts counts them:
 * those of Unicode 9, Hiragana, Katakana and the prolonged sound mark as Han; the blank, private
 * characters and those that came after Unicode 9 have none. */
#ifndef HONE_DATA_TOKENIZER_SCRIPT_H
#define HONE_DATA_TOKENIZER_SCRIPT_H

#include <stdint.h>

#define SCRIPT_NONE 0

/* A number for the script: the same for two characters of the same. */
uint8_t script_of(uint32_t c);

#endif
