/* page: report.html, one self-contained page over one or several run folders.
 *
 * Everything on it is read from the folders (run.json, metrics.jsonl, samples.jsonl), so that a run
 * that goes on, a finished one and `hone report RUN...` use the same code. Plots are SVG; no script
 * is needed to read it, nothing is loaded from elsewhere. Missing or half-written files only leave
 * gaps.
 *
 * First screen: result table, the same prompts before and after, judge and reward against KL. Then
 * curves (several seeds of a stage as mean and band), memory by purpose, who shares which weights,
 * lineage by digest, config with the origin of each value, timings by phase. */
#ifndef HONE_TRAIN_REPORT_PAGE_H
#define HONE_TRAIN_REPORT_PAGE_H

#include "core/io/json.h"

typedef struct PageRun {
    const char *stage;  /* shown as the heading: "sft", "reward", "ppo"; NULL: from run.json */
    const char *folder; /* a run folder */
    int64_t seed;       /* runs of the same stage are drawn as one band; < 0: from run.json */
} PageRun;

typedef struct PageInput {
    const char *title;
    const PageRun *runs;
    int n_runs;
    /* An object, or NULL (borrowed). All members may be missing:
     *   "summary":   [one line of text, ...]
     *   "table":     {"columns": ["", "base", "SFT", "PPO"],
     *                 "rows": [["fluent", {"mean": 0.98, "low": 0.97, "high": 0.99}, 0.5, "text",
     * null], ...]} Numbers are shown to three digits, {mean, low, high} as mean and interval.
     *   "samples":   {"columns": ["base", "SFT", "PPO"],
     *                 "rows": [{"prompt": "...", "texts": ["...", "...", "..."], "notes": ["", "all
     * asked"]}]} "kl_curve":  {"x": "KL to the SFT model (nats)", "series": [{"name": "judge",
     * "points": [[kl, value], ...], "axis": "left" | "right"}]} "timings":   [{"phase": "sft",
     * "seconds": 41.2}, ...] "notes":     [text, ...] */
    const Json *result;
    bool running; /* the page says so and reloads itself */
} PageInput;

/* Writes the page (publish.h: whole or not at all). */
Status page_write(const char *path, const PageInput *in);

#endif
