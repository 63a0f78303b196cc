fn main() -> std::process::ExitCode {
    kensaku_kernel::main()
}
