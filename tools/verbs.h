/* verbs: the table of `hone`. A verb that is not built is not in it. */
#ifndef HONE_TOOLS_VERBS_H
#define HONE_TOOLS_VERBS_H

#include "core/status.h"

typedef struct Verb {
    const char *name, *summary;
    Status (*run)(int argc, char **argv); /* argv[0] is the verb */
} Verb;

extern const Verb verbs[]; /* ends with a NULL name */

Status hone_score(int argc, char **argv);
Status hone_generate(int argc, char **argv);
Status hone_tokenize(int argc, char **argv);
Status hone_chat_template(int argc, char **argv);
Status hone_train_tokenizer(int argc, char **argv);
Status hone_init(int argc, char **argv);
Status hone_merge(int argc, char **argv);
Status hone_export(int argc, char **argv);
Status hone_run(int argc, char **argv);
Status hone_chat(int argc, char **argv);
Status hone_inspect(int argc, char **argv);
Status hone_verify(int argc, char **argv);
Status hone_report(int argc, char **argv);
Status hone_schema(int argc, char **argv);

#endif
