/* model, quantization, peft: what is loaded and what of it is trained. */
#include "train/config/schema.h"

#define ROW(path_, type_, field, default_, range_, ...)                                    \
    {                                                                                      \
        .path = path_, .type = type_, .offset = offsetof(Config, field), .dflt = default_, \
        .range = range_, .doc = __VA_ARGS__                                                \
    }

const Key MODEL_KEYS[] = {
    ROW("model.path", KEY_TEXT, model.path, "null", NULL,
        "The model to start from: a Hugging Face folder, a GGUF file, or the run folder of an "
        "earlier stage "
        "(its final/ is taken).",
        .flat = "model_name_or_path", .flags = KEY_NULLABLE),
    ROW("model.config", KEY_TEXT, model.config, "null", NULL,
        "Instead of model.path: a config.json to start from random weights.",
        .flags = KEY_NULLABLE),
    ROW("model.tokenizer", KEY_TEXT, model.tokenizer, "null", NULL,
        "Folder or file of the tokenizer; null is the model's own.",
        .flat = "tokenizer_name_or_path", .flags = KEY_NULLABLE),
    ROW("model.dtype", KEY_CHOICE, model.dtype, "float32", "float32|bfloat16|float16|auto",
        "How frozen weights are stored; what is trained is float32. auto is the file's own.",
        .flat = "dtype,torch_dtype"),
    ROW("model.adapter", KEY_TEXT, model.adapter, "null", NULL,
        "A PEFT folder whose training goes on, with its own r, alpha and modules.",
        .flags = KEY_NULLABLE),
    ROW("model.root", KEY_TEXT, model.root, "null", NULL,
        "Folder in which names that are no local path are looked up, before the Hugging Face "
        "cache.",
        .flags = KEY_NULLABLE | KEY_FREE),
};
const size_t N_MODEL_KEYS = COUNT_OF(MODEL_KEYS);

const Key QUANTIZATION_KEYS[] = {
    ROW("quantization.load_in_4bit", KEY_BOOL, quantization.load_in_4bit, "false", NULL,
        "Store the frozen base in 4 bits.", .flat = "."),
    ROW("quantization.load_in_8bit", KEY_BOOL, quantization.load_in_8bit, "false", NULL,
        "Store the frozen base in 8 bits (LLM.int8).", .flat = "."),
    ROW("quantization.bnb_4bit_quant_type", KEY_CHOICE, quantization.bnb_4bit_quant_type, "nf4",
        "nf4|fp4", "The 4-bit number format.", .flat = "."),
    ROW("quantization.bnb_4bit_blocksize", KEY_INT, quantization.bnb_4bit_blocksize, "64",
        "[32, 4096]", "Weights that share a scale: a power of two.", .flat = "."),
    ROW("quantization.bnb_4bit_use_double_quant", KEY_BOOL, quantization.bnb_4bit_use_double_quant,
        "false", NULL, "Quantize the scales of the 4-bit blocks too.",
        .flat = "bnb_4bit_use_double_quant,use_bnb_nested_quant"),
    ROW("quantization.bnb_4bit_compute_dtype", KEY_TEXT, quantization.bnb_4bit_compute_dtype,
        "null", NULL,
        "Accepted for TRL's files (float32, bfloat16 or float16): products with a quantized weight "
        "are computed in float32, and a line at the start says so.",
        .flat = ".", .flags = KEY_NULLABLE),
    ROW("quantization.llm_int8_threshold", KEY_REAL, quantization.llm_int8_threshold, "6",
        "[0, inf)",
        "Accepted for TRL's files: activations stay in float32, so none is left out of the 8-bit "
        "product, and a line at the start says so.",
        .flat = "."),
    ROW("quantization.llm_int8_skip_modules", KEY_LIST, quantization.llm_int8_skip_modules, "[]",
        NULL, "Modules that are not quantized.", .flat = "."),
    ROW("quantization.lm_head", KEY_TEXT, quantization.lm_head, "null", NULL,
        "int8 quantizes the output head too.", .flags = KEY_NULLABLE),
};
const size_t N_QUANTIZATION_KEYS = COUNT_OF(QUANTIZATION_KEYS);

const Key PEFT_KEYS[] = {
    ROW("peft.peft_type", KEY_CHOICE, peft.peft_type, "null", "null|LORA",
        "Train an adapter instead of the model. Any other key of this section means LORA."),
    ROW("peft.r", KEY_INT, peft.r, "16", "[1, 65536]", "Rank of the adapter.", .flat = "lora_r"),
    ROW("peft.lora_alpha", KEY_REAL, peft.lora_alpha, "32", "(0, inf)",
        "The update is scaled by lora_alpha / r.", .flat = "."),
    ROW("peft.lora_dropout", KEY_REAL, peft.lora_dropout, "0.05", "[0, 1)",
        "Dropout on the adapter's input.", .flat = "."),
    ROW("peft.target_modules", KEY_LIST, peft.target_modules, "[]", NULL,
        "Modules that get an adapter, by the end of their name, or by a regular expression of the "
        "whole; "
        "all-linear is all but the head; none given: the architecture's default (query and value "
        "projections).",
        .flat = "lora_target_modules",
        .differs =
            "TRL reads a list of one as a regular expression; here an entry is one when it has "
            "a character that no module's name has"),
    ROW("peft.exclude_modules", KEY_LIST, peft.exclude_modules, "[]", NULL,
        "Modules that get none, named in the same way."),
    ROW("peft.layers_to_transform", KEY_LIST, peft.layers_to_transform, "[]", NULL,
        "Numbers of the layers that get an adapter; none given: all."),
    ROW("peft.layers_pattern", KEY_LIST, peft.layers_pattern, "[]", NULL,
        "What stands before a layer's number in names of modules; none given: any word."),
    ROW("peft.rank_pattern", KEY_PAIRS, peft.rank_pattern, "{}", NULL,
        "Ranks of some modules, by the end of their name or a regular expression of it."),
    ROW("peft.alpha_pattern", KEY_PAIRS, peft.alpha_pattern, "{}", NULL, "The same of lora_alpha."),
    ROW("peft.modules_to_save", KEY_LIST, peft.modules_to_save, "[]", NULL,
        "Modules that are trained whole and saved with the adapter. The reward model's score head "
        "always is.",
        .flat = "lora_modules_to_save"),
    ROW("peft.use_rslora", KEY_BOOL, peft.use_rslora, "false", NULL,
        "Scale by lora_alpha / sqrt(r) instead.", .flat = "."),
    ROW("peft.init_lora_weights", KEY_TEXT, peft.init_lora_weights, "true", NULL,
        "How A starts: true is Kaiming uniform, gaussian is N(0, 1/r^2); B starts at 0."),
};
const size_t N_PEFT_KEYS = COUNT_OF(PEFT_KEYS);
