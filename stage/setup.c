#include "stage/setup.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/tensor_file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/threads.h"

#include <math.h>

Status setup_device(Dev **out, const RunConfig *run) {
    int threads = threads_set((int)run->threads);
    const char *name = run->device;
    if (str_equal(name, "auto")) {
        if (dev_open(out, "cuda", threads) == OK)
            name = "cuda";
        else
            TRY(dev_open(out, name = "cpu", threads));
    } else {
        TRY(dev_open(out, name, threads));
    }
    log_info("device: %s (%s), %d threads, %s activations", dev_name(*out), dev_isa(*out), threads,
             dtype_name(dev_real(*out)));
    return OK;
}

Status setup_tokenizer(Tokenizer **out, const Config *cfg) {
    const char *name = cfg->model.tokenizer ? cfg->model.tokenizer : cfg->model.path;
    if (!name)
        return status_fail(ERR_CONFIG,
                           "model.tokenizer: a model from model.config has no tokenizer "
                           "of its own; name a folder that has one, or `bytes`");
    if (str_equal(name, "bytes")) return tokenizer_open_bytes(out);
    if (file_is_regular(name)) return tokenizer_open(out, name);
    ModelPlace place;
    TRY(place_model(&place, name, cfg->model.root));
    Status st = place_tokenizer(out, &place);
    model_place_free(&place);
    return st;
}

Status setup_template(ChatTemplate **out, const Config *cfg, const Tokenizer *tok) {
    *out = NULL;
    const char *path = cfg->data.chat_template_path;
    if (!path) return tokenizer_chat_template(tok) ? template_open(out, tok, NULL) : OK;
    if (file_is_folder(path)) {
        Tokenizer *other = NULL;
        TRY(tokenizer_open(&other, path));
        const char *source = tokenizer_chat_template(other);
        Status st = source ? template_open(out, tok, source)
                           : status_fail(ERR_CONFIG,
                                         "data.chat_template_path: %s has no chat "
                                         "template",
                                         path);
        tokenizer_close(other);
        return st;
    }
    Str source = {0};
    Status st = file_read(&source, path, (size_t)1 << 20);
    if (st == OK) st = template_open(out, tok, str_text(&source));
    str_free(&source);
    return st;
}

static DatasetOptions dataset_options(const Config *cfg, DatasetKind kind, const Tokenizer *tok,
                                      const ChatTemplate *tpl, bool is_eval) {
    const DataConfig *d = &cfg->data;
    DatasetOptions o = dataset_options_default(kind);
    o.tokenizer = tok;
    o.chat_template = tpl;
    o.parse_special = d->parse_special;
    o.max_length = d->max_length == CONFIG_NULL_INT ? 0 : d->max_length;
    o.completion_only_loss = cfg->sft.completion_only_loss == TRI_NULL  ? DATASET_NULL
                             : cfg->sft.completion_only_loss == TRI_YES ? DATASET_TRUE
                                                                        : DATASET_FALSE;
    o.assistant_only_loss = cfg->sft.assistant_only_loss;
    o.eos_token = d->eos_token;
    if (d->dataset_text_field) o.dataset_text_field = d->dataset_text_field;
    o.text_by = d->text_documents ? DATASET_TEXT_DOCUMENT : DATASET_TEXT_LINE;
    o.truncation_keep_end = d->truncation_mode == TRUNCATE_KEEP_END;
    o.packing = kind == DATASET_SFT && (is_eval ? d->eval_packing == TRI_YES : d->packing);
    o.packing_strategy = d->packing_strategy == PACKING_WRAPPED     ? PACK_WRAPPED
                         : d->packing_strategy == PACKING_BFD_SPLIT ? PACK_BFD_SPLIT
                                                                    : PACK_BFD;
    o.on_bad_row = d->on_bad_row == BAD_ROW_SKIP ? DATASET_BAD_SKIP : DATASET_BAD_ERROR;
    if (!config_is_null(d->max_bad_fraction)) o.max_bad_fraction = d->max_bad_fraction;
    o.seed = (uint64_t)cfg->training.data_seed;
    if (!config_is_null(d->test_split_size)) o.test_split_size = d->test_split_size;
    o.test_part = is_eval;
    o.root = d->root;
    o.cache_dir = d->cache_dir;
    return o;
}

Status setup_dataset(Dataset **out, const Config *cfg, DatasetKind kind, bool encoder_decoder,
                     const char *what, const Tokenizer *tok, const ChatTemplate *tpl) {
    *out = NULL;
    bool is_eval = str_equal(what, "eval");
    const DatasetList *list = is_eval ? &cfg->data.eval : &cfg->data.train;
    if (list->n == 0) return OK;
    DatasetOptions options = dataset_options(cfg, kind, tok, tpl, is_eval);
    options.encoder_decoder = encoder_decoder;
    DatasetSource *sources = mem_zalloc(list->n, sizeof *sources);
    DatasetColumn **columns = mem_zalloc(list->n, sizeof *columns);
    Status st = OK;
    for (size_t i = 0; i < list->n; i++) {
        const DatasetConfig *from = &list->items[i];
        columns[i] = mem_zalloc(from->columns.n + 1, sizeof **columns);
        for (size_t c = 0; c < from->columns.n; c++)
            columns[i][c] =
                (DatasetColumn){from->columns.items[c].key, from->columns.items[c].value};
        sources[i] = (DatasetSource){
            .path = from->path,
            .format = from->format,
            .split = from->split ? from->split
                     : is_eval   ? "test"
                                 : "train",
            .columns = columns[i],
            .n_columns = (int64_t)from->columns.n,
            .weight = from->weight,
            .prompt_template = from->prompt_template,
            .completion_template = from->completion_template,
            .promptsource = from->promptsource,
            .promptsource_name = from->promptsource_name,
        };
    }
    options.sources = sources;
    options.n_sources = (int64_t)list->n;
    TRY_GOTO(dataset_open(out, &options), st, out);
    dataset_log(*out, what);
out:
    for (size_t i = 0; i < list->n; i++) {
        mem_free(columns[i]);
    }
    mem_free(sources);
    mem_free(columns);
    return st;
}

static int64_t longest_of(const DatasetExample *e, DatasetKind kind) {
    int64_t longest = kind == DATASET_PREFERENCE ? e->n_chosen : 0;
    if (kind == DATASET_PREFERENCE && e->n_rejected > longest) longest = e->n_rejected;
    for (int64_t s = 0; kind != DATASET_PREFERENCE && s < e->n_seqs; s++) {
        int64_t n = e->seq_start[s + 1] - e->seq_start[s];
        if (n > longest) longest = n;
    }
    return longest;
}

int64_t setup_longest(const Dataset *data) {
    int64_t longest = 0;
    for (int64_t i = 0; data && i < dataset_size(data); i++) {
        DatasetExample e = dataset_get(data, i);
        int64_t n = longest_of(&e, dataset_kind(data));
        if (n > longest) longest = n;
    }
    return longest;
}

Status setup_check_positions(const Base *base, int64_t longest, const char *how) {
    int64_t limit = base_info(base)->position_limit;
    if (limit == 0 || longest <= limit) return OK;
    return status_fail(ERR_CONFIG,
                       "the longest sequence has %lld tokens, but the model has learned %lld "
                       "positions; %s",
                       (long long)longest, (long long)limit, how);
}

BatchOrder setup_order(const Config *cfg, const Dataset *data) {
    return (BatchOrder){
        .n_items = dataset_size(data),
        .batch_size = cfg->training.per_device_train_batch_size,
        .accumulation = cfg->training.gradient_accumulation_steps,
        .world = 1,
        .shuffle = cfg->data.shuffle,
        .drop_last = cfg->training.dataloader_drop_last,
        .seed = (uint64_t)cfg->training.data_seed,
    };
}

int64_t setup_total_steps(const Config *cfg, int64_t steps_per_epoch) {
    if (cfg->training.max_steps > 0) return cfg->training.max_steps;
    return (int64_t)ceil(cfg->training.num_train_epochs * (double)steps_per_epoch);
}

PassOptions setup_pass_options(const Config *cfg, bool dropout) {
    const TrainingConfig *t = &cfg->training;
    return (PassOptions){
        .temperature = 1.0,
        .dropout = dropout,
        .seed = (uint64_t)cfg->run.seed,
        .neftune_alpha = config_is_null(t->neftune_noise_alpha) ? 0.0 : t->neftune_noise_alpha,
        .label_smoothing = t->label_smoothing_factor,
        .recompute = t->gradient_checkpointing ? RECOMPUTE_BLOCK : RECOMPUTE_NONE,
    };
}

static DType dtype_of_file(const char *folder) {
    static const DType known[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    size_t bytes[3] = {0}, most = 0;
    TensorFile *file = NULL;
    if (!folder || tensor_file_open(&file, folder) != OK) return DTYPE_F32; /* base_open says why */
    for (int64_t i = 0; i < tensor_file_count(file); i++) {
        const TensorEntry *e = tensor_file_at(file, i);
        for (size_t k = 0; k < 3; k++)
            if (e->dtype == known[k]) bytes[k] += e->bytes;
    }
    tensor_file_close(file);
    for (size_t k = 1; k < 3; k++)
        if (bytes[k] > bytes[most]) most = k;
    return known[most];
}

DType setup_dtype(ModelDtype wanted, const char *folder) {
    switch (wanted) {
    case MODEL_F32:
        return DTYPE_F32;
    case MODEL_BF16:
        return DTYPE_BF16;
    case MODEL_F16:
        return DTYPE_F16;
    case MODEL_DTYPE_AUTO:
        return dtype_of_file(folder);
    }
    FAIL("dtype %d", (int)wanted);
}

QuantOptions setup_quant(const Config *cfg) {
    const QuantConfig *q = &cfg->quantization;
    return (QuantOptions){
        .on = q->load_in_4bit || q->load_in_8bit,
        .kind = q->load_in_8bit ? QUANT_INT8 : q->bnb_4bit_quant_type,
        .block = q->bnb_4bit_blocksize,
        .nested = q->bnb_4bit_use_double_quant,
        .head = q->lm_head != NULL,
        .skips = (const char *const *)q->llm_int8_skip_modules.items,
        .n_skips = (int)q->llm_int8_skip_modules.n,
    };
}

LoraOptions setup_lora(const Config *cfg, const char *task_type) {
    const PeftConfig *p = &cfg->peft;
    return (LoraOptions){
        .r = p->r,
        .alpha = p->lora_alpha,
        .dropout = p->lora_dropout,
        .use_rslora = p->use_rslora,
        .targets = (const char *const *)p->target_modules.items,
        .n_targets = (int)p->target_modules.n,
        .excludes = (const char *const *)p->exclude_modules.items,
        .n_excludes = (int)p->exclude_modules.n,
        .layers = p->layers,
        .n_layers = (int)p->layers_to_transform.n,
        .layers_pattern = (const char *const *)p->layers_pattern.items,
        .n_layers_pattern = (int)p->layers_pattern.n,
        .ranks = p->ranks,
        .n_ranks = (int)p->rank_pattern.n,
        .alphas = p->alphas,
        .n_alphas = (int)p->alpha_pattern.n,
        .gaussian = str_equal(p->init_lora_weights, "gaussian"),
        .task_type = task_type,
        .seed = (uint64_t)cfg->run.seed,
    };
}

Status setup_decoder_start(int32_t *out, const Config *cfg) {
    ModelPlace place = {0};
    if (cfg->model.path) TRY(place_model(&place, cfg->model.path, cfg->model.root));
    Status st = base_decoder_start(out, place.base, cfg->model.config);
    model_place_free(&place);
    return st;
}

Status setup_trainee(Trainee *out, Dev *dev, const Config *cfg, const char *task_type,
                     bool takes_source) {
    *out = (Trainee){0};
    const ModelConfig *m = &cfg->model;
    if (m->path) TRY(place_model(&out->place, m->path, m->root));
    if (m->adapter) {
        mem_free(out->place.adapter);
        out->place.adapter = mem_strdup(m->adapter);
    }
    bool has_adapter = out->place.adapter != NULL || cfg->peft.peft_type != PEFT_NONE;
    BaseOptions base = {
        .path = out->place.base,
        .config = m->config,
        .seed = (uint64_t)cfg->run.seed,
        .dtype = setup_dtype(m->dtype, out->place.base),
        .trainable = !has_adapter,
        .quant = setup_quant(cfg),
        .trunk_only = str_equal(task_type, "SEQ_CLS"),
        .takes_source = takes_source,
    };
    Status st = base_open(&out->base, dev, &base);
    LoraOptions lora = setup_lora(cfg, task_type);
    if (st == OK && base_info(out->base)->n_encoder_layers) lora.task_type = "SEQ_2_SEQ_LM";
    if (st == OK && out->place.adapter)
        st = adapter_load(&out->adapter, out->base, "default", out->place.adapter, true);
    else if (st == OK && has_adapter)
        st = adapter_create(&out->adapter, out->base, "default", &lora);
    if (st != OK) trainee_close(out);
    return st;
}

void trainee_close(Trainee *t) {
    adapter_close(t->adapter);
    base_close(t->base);
    model_place_free(&t->place);
    *t = (Trainee){0};
}

void trainee_params(ParamList *list, Trainee *t) {
    if (t->adapter)
        adapter_params(list, t->adapter);
    else
        base_params(list, t->base);
}

Status setup_check_vocab(const Base *base, const Tokenizer *tok) {
    int64_t rows = base_info(base)->vocab;
    if (tokenizer_vocab_size(tok) <= rows) return OK;
    return status_fail(ERR_DATA,
                       "the tokenizer has %d ids but the model's table only %lld rows; "
                       "they do not belong together: check model.tokenizer",
                       (int)tokenizer_vocab_size(tok), (long long)rows);
}

void setup_plan_trainee(MemoryPlan *plan, const Trainee *t, const char *role) {
    const BaseInfo *info = base_info(t->base);
    char *what = str_format("%s, %s%s", info->architecture, info->storage,
                            base_is_frozen(t->base) ? "" : ", weights and gradients");
    plan_add(plan, PLAN_BASE, what, base_bytes(t->base));
    mem_free(what);
    ParamList list = {0};
    if (t->adapter) {
        adapter_params(&list, t->adapter);
        plan_add(plan, PLAN_ADAPTERS, "LoRA, weights and gradients",
                 2 * sizeof(float) * (size_t)params_count(&list));
        params_free(&list);
    }
    plan_role(plan, role, info->architecture, t->adapter ? "LoRA" : NULL, NULL);
}

Status setup_inputs(Run *run, const Config *cfg, const Trainee *t, const Tokenizer *tok,
                    const Dataset *train) {
    char hex[65];
    const char *from = cfg->model.path ? cfg->model.path : cfg->model.config;
    if (t->place.base) {
        TRY(run_digest_path(hex, t->place.base));
        run_input(run, "base", from, hex);
    }
    if (t->place.adapter) {
        TRY(run_digest_path(hex, t->place.adapter));
        run_input(run, "adapter", t->place.adapter, hex);
    }
    run_input(run, "tokenizer", cfg->model.tokenizer ? cfg->model.tokenizer : from,
              tokenizer_digest(tok));
    dataset_digest(train, hex);
    run_input(run, "data", cfg->data.train.items[0].path, hex);
    const BaseInfo *info = base_info(t->base);
    run_fact(run, "architecture", json_new_str(info->architecture));
    run_fact(run, "storage", json_new_str(info->storage));
    run_fact(run, "parameters", json_new_int(info->n_params));
    return OK;
}

Status setup_export(const Trainee *t, Head *head, const Tokenizer *tok, const char *folder) {
    if (t->adapter && t->place.base) {
        TRY(adapter_save(t->adapter, head, folder, t->place.base));
    } else {
        /* A head of kind HEAD_SCORE in the role makes it a reward model. */
        Role role = {t->base, t->adapter, head};
        TRY(model_export(&role, folder, DTYPE_F32));
    }
    return tokenizer_export(tok, folder);
}
