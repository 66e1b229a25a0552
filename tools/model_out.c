#include "tools/model_out.h"

#include "core/log.h"
#include "core/publish.h"
#include "core/str.h"
#include "stage/setup.h"

static Status hf_dtype(DType *out, const ToolModel *m, const char *name) {
    *out = name ? dtype_by_name(name) : setup_dtype(MODEL_DTYPE_AUTO, m->place.base);
    if (*out == DTYPE_F32 || *out == DTYPE_BF16 || *out == DTYPE_F16) return OK;
    return status_fail(ERR_USAGE, "--dtype: `%s` is none of float32, bfloat16, float16", name);
}

Status model_out_hf(const ToolModel *m, const char *dtype, const char *output) {
    PublishFolder *folder = NULL;
    DType stored;
    TRY(hf_dtype(&stored, m, dtype));
    TRY(publish_folder_open(&folder, output, false));
    Status st = model_export(&m->role, publish_folder_path(folder), stored);
    if (st == OK) st = tokenizer_export(m->tok, publish_folder_path(folder));
    if (st == OK) st = publish_folder_commit(folder);
    publish_folder_close(folder);
    if (st == OK)
        log_info("%s: %s in %s", output, base_info(m->base)->architecture, dtype_name(stored));
    return st;
}

static Status gguf_store(GgufStore *out, const char *name) {
    static const struct {
        DType dtype;
        GgufStore store;
    } STORES[] = {
        {DTYPE_F32, GGUF_STORE_F32}, {DTYPE_F16, GGUF_STORE_F16}, {DTYPE_BF16, GGUF_STORE_BF16}};
    *out = GGUF_STORE_Q8_0;
    if (str_equal(name, "q8_0") || str_equal(name, "Q8_0")) return OK;
    for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++) {
        *out = STORES[i].store;
        if (dtype_by_name(name) == STORES[i].dtype) return OK;
    }
    return status_fail(ERR_USAGE, "--dtype: `%s` is none of float32, bfloat16, float16, q8_0",
                       name);
}

Status model_out_gguf(const ToolModel *m, const char *dtype, const char *output) {
    GgufStore store;
    GgufMeta tokenizer = {0};
    TRY(gguf_store(&store, dtype ? dtype : "float16"));
    Status st = tokenizer_write_gguf(m->tok, base_info(m->base)->vocab, &tokenizer);
    if (st == OK) st = model_export_gguf(&m->role, output, store, &tokenizer);
    gguf_meta_free(&tokenizer);
    if (st == OK)
        log_info("%s: %s in %s", output, base_info(m->base)->architecture,
                 dtype ? dtype : "float16");
    return st;
}

Status model_out_peft(const ToolModel *m, const char *dtype, const char *output) {
    PublishFolder *folder = NULL;
    if (!m->adapter)
        return status_fail(ERR_USAGE, "--to peft: there is no adapter; name one by --adapter");
    if (dtype) return status_fail(ERR_USAGE, "--dtype: an adapter stays as it is");
    TRY(publish_folder_open(&folder, output, false));
    Status st = adapter_save(m->adapter, m->score, publish_folder_path(folder), m->place.base);
    if (st == OK) st = tokenizer_export(m->tok, publish_folder_path(folder));
    if (st == OK) st = publish_folder_commit(folder);
    publish_folder_close(folder);
    return st;
}
