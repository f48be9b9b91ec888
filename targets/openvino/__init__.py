"""The OpenVINO target: IR, tokenizer and runner."""
