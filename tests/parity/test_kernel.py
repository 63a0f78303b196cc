"""Runs PyPI's jupyter_kernel_test with all of its samples.

KENSAKU_KERNEL is the name of an installed kernelspec, by default "kensaku".
"""

import os
import unittest

import jupyter_kernel_test

KERNEL = os.environ.get("KENSAKU_KERNEL", "kensaku")


class Kernel(jupyter_kernel_test.KernelTests):
    kernel_name = KERNEL
    language_name = "rust"
    file_extension = ".rs"

    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("to stderr");'
    code_generate_error = 'panic!("on purpose");'
    code_page_something = "?kensaku::show::display"
    code_inspect_sample = "kensaku::show::display"
    code_clear_output = "kensaku::show::clear_output(true);"

    completion_samples = [
        {"text": "kensaku::show::clear_", "matches": {"clear_output"}},
        {"text": "let 検索 = kensaku::show::markd", "matches": {"markdown"}},
    ]
    complete_code_samples = ["let x = 1;", "fn f(x: i32) -> i32 { x }", "1 + 1", ":vars", "// a comment"]
    incomplete_code_samples = ["fn f() {", "let x = vec![1,", 'let s = "open', "1 +", "x.iter()."]
    invalid_code_samples = ["let x 1;", ")", "fn f( { }}"]

    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": '"検索".to_string()', "result": '"検索"'},
        {"code": 'kensaku::show::html("<b>bold</b>")', "mime": "text/html", "result": "<b>bold</b>"},
    ]
    code_display_data = [
        {"code": 'kensaku::show::display(&kensaku::show::markdown("**bold**"));', "mime": "text/markdown"},
        {"code": 'kensaku::show::display(&kensaku::show::html("<b>bold</b>"));', "mime": "text/html"},
    ]
    code_history_pattern = "6 ?*"
    supported_history_operations = ("tail", "range", "search")


class Welcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = KERNEL
    support_iopub_welcome = True


if __name__ == "__main__":
    unittest.main()
