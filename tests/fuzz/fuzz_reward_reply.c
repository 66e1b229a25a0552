/* What an outside reward program answers: any bytes give scores or a refusal.
 *
 * Parser: ppo/reward_command.c
 */
#include "fuzz.h"

#include "ppo/reward_source.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* An answer that comes unasked is refused whatever it is: the first question is waited for. */
    char *command[] = {(char *)"sh", (char *)"-c", (char *)"read -r line; exec cat \"$0\"",
                       mem_strdup(fuzz_file("reply", data, size))};
    RewardSource config = {.command = {.items = command, .n = 4}, .timeout_s = 5, .weight = 1};
    RewardQuery queries[3];
    for (int i = 0; i < 3; i++)
        queries[i] = (RewardQuery){.prompt = "p", .response = "r\n\"", .row = "{}", .ended = true};
    double scores[3] = {NAN, NAN, NAN};
    int64_t answered = 0;
    RewardScorer scorer;
    CHECK(reward_command_open(&scorer, &config) == OK, "%s", status_message());
    bool ok = fuzz_ok(reward_score_all(&scorer, 1, scores, queries, 3, &answered));
    CHECK(answered >= 0 && answered <= 3 && (!ok || answered == 3), "%lld answers",
          (long long)answered);
    for (int64_t i = 0; ok && i < 3; i++) CHECK(isfinite(scores[i]), "score %g", scores[i]);
    scorer.close(scorer.self);
    mem_free(command[3]);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("1\n-2.5\n3e-2\n");
    fuzz_seed_text(" 1 \r\n0x1p3\n+7\t\n");
    fuzz_seed_text("1\n2\n3\n4\n");
}

const char *const fuzz_words[] = {"nan", "inf", "1e999", "\n\n", "\r\n",
                                  "-",   "0x",  "1 2",   "{}",   NULL};
