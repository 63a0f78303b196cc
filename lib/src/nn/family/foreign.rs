//! Keys of `config.json` that do not belong to a family. Keys that change what the model computes are refused, keys without
//! effect are ignored, and all others are logged.

use serde_json::Value;

use super::{EncoderConfig, UnusableConfig};

/// A key, the values under which it changes nothing, and how a message names them.
type Rule = (&'static str, fn(&Value) -> bool, &'static str);

const REFUSED: [Rule; 7] = [
    ("position_embedding_type", |value| value.is_null() || value == "absolute", "`absolute`"),
    ("is_decoder", off, "false: an encoder, in which every token sees all"),
    ("is_encoder_decoder", off, "false"),
    ("add_cross_attention", off, "false"),
    ("pruned_heads", empty, "no pruned heads"),
    ("quantization_config", empty, "weights that are not quantised"),
    ("auto_map", empty, "a model without custom code"),
];

/// Keys that transformers adds to those of a family.
const KNOWN: &str = "
    _name_or_path activation architectures attention_bias attn_implementation bad_words_ids begin_suppress_tokens
    bos_token_id chunk_size_feed_forward cls_dropout cls_token_id cross_attention_hidden_size decoder_start_token_id
    deterministic_flash_attn directionality diversity_penalty do_sample dtype early_stopping embedding_size
    encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task forced_bos_token_id
    forced_eos_token_id global_rope_theta gradient_checkpointing id2label initializer_cutoff_factor label2id
    layer_norm_eps layer_types legacy length_penalty local_rope_theta max_length min_length no_repeat_ngram_size
    num_beam_groups num_beams num_return_sequences output_attentions output_hidden_states output_past output_scores
    pooler_fc_size pooler_hidden_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type prefix
    problem_type qa_dropout reference_compile remove_invalid_values repad_logits_with_grad repetition_penalty
    return_dict return_dict_in_generate rope_parameters sentence_transformers
    sep_token_id sparse_pred_ignore_index sparse_prediction summary_activation summary_last_dropout summary_type
    summary_use_proj suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder
    tie_weights_ tie_word_embeddings tokenizer_class top_k top_p torch_dtype torchscript transformers_version type_vocab_size
    typical_p use_bfloat16 use_cache";

fn off(value: &Value) -> bool {
    !value.as_bool().unwrap_or(false)
}

fn empty(value: &Value) -> bool {
    value.as_object().is_none_or(serde_json::Map::is_empty) && !value.is_string()
}

/// An error for a key under which vectors would be others.
pub(super) fn check(config: &Value) -> Result<(), UnusableConfig> {
    match REFUSED.into_iter().find(|(key, harmless, _)| !harmless(&config[*key])) {
        Some((key, _, expected)) => {
            // A quantisation or a map of code is no message.
            let value = if config[key].is_object() { "set".to_owned() } else { config[key].to_string() };
            Err(UnusableConfig { problem: format!("`{key}` is {value}"), expected: expected.to_owned() })
        }
        None => Ok(()),
    }
}

/// The keys that mean nothing here.
pub(crate) fn unknown<'a>(stored: &'a Value, config: &EncoderConfig) -> Vec<&'a str> {
    let own = config.to_json().unwrap_or_default();
    let known = |key: &str| {
        own.get(key).is_some()
            || REFUSED.iter().any(|(refused, ..)| *refused == key)
            || KNOWN.split_whitespace().any(|known| known == key)
    };
    stored.as_object().into_iter().flat_map(|keys| keys.keys()).map(String::as_str).filter(|key| !known(key)).collect()
}
