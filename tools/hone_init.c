/* hone init: a model folder with random weights. */
#include "core/args.h"
#include "core/log.h"
#include "core/publish.h"
#include "tools/open.h"
#include "tools/verbs.h"

Status hone_init(int argc, char **argv) {
    const char *config = NULL, *tokenizer = NULL, *output = NULL;
    int64_t seed = 42;
    bool help = false;
    const Arg args[] = {
        {"--config", ARG_TEXT, &config, true, "config.json of the architecture"},
        {"--tokenizer", ARG_TEXT, &tokenizer, true, "folder whose tokenizer the model gets"},
        {"--output", ARG_TEXT, &output, true, "folder to make"},
        {"--seed", ARG_INT, &seed, false, "of the weights"},
        {0},
    };
    TRY(args_parse(
        &(ArgTable){.program = "hone init",
                    .summary = "A model folder with random weights, drawn as transformers does.",
                    .args = args},
        argc, argv, &help));
    if (help) return OK;
    Dev *dev = NULL;
    Base *base = NULL;
    Tokenizer *tok = NULL;
    ChatTemplate *tpl = NULL;
    PublishFolder *folder = NULL;
    Status st = OK;
    TRY_GOTO(dev_open(&dev, "cpu", 0), st, out);
    TRY_GOTO(tool_tokenizer_open(&tok, &tpl, tokenizer), st, out);
    BaseOptions options = {
        .config = config, .seed = (uint64_t)seed, .dtype = DTYPE_F32, .takes_source = true};
    TRY_GOTO(base_open(&base, dev, &options), st, out);
    if (tokenizer_vocab_size(tok) > base_info(base)->vocab) {
        st = status_fail(ERR_DATA, "%s: vocab_size is %lld but the tokenizer has %d ids; raise it",
                         config, (long long)base_info(base)->vocab, (int)tokenizer_vocab_size(tok));
        goto out;
    }
    Role role = {base, NULL, NULL};
    TRY_GOTO(publish_folder_open(&folder, output, false), st, out);
    TRY_GOTO(model_export(&role, publish_folder_path(folder), DTYPE_F32), st, out);
    TRY_GOTO(tokenizer_export(tok, publish_folder_path(folder)), st, out);
    TRY_GOTO(publish_folder_commit(folder), st, out);
    log_info("%s: %s with %lld parameters", output, base_info(base)->architecture,
             (long long)base_info(base)->n_params);
out:
    publish_folder_close(folder);
    base_close(base);
    template_close(tpl);
    tokenizer_close(tok);
    dev_close(dev);
    return st;
}
