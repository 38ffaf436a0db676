import ArgumentParser
import Machine

struct ProbesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probes",
    abstract: "List which instructions can be probed, which can't, and why.",
    discussion: """
      A line an instruction: address, offset in the file (for --probe 'p:FILE:OFFSET'), pr (entry and
      return), p (this instruction) or - (nothing), how a probe gets past it, and its text.

      EXAMPLES
        emu probes -l images/user/riscv64/hello.elf
        emu probes -l images/user/riscv64/hello.elf --symbol main
        emu probes -l --kernel --symbol do_sys_openat2
        emu probes -l --kernel --machine x86_64
      """)

  @Flag(name: [.short, .long], help: "List instructions.")
  var list = false

  @Flag(help: "Of the guest kernel.")
  var kernel = false

  @Option(help: "Whose guest kernel.")
  var machine: ProgramArchitecture = .riscv64

  @Option(help: "Only this function.")
  var symbol: String?

  @Argument(help: "The ELF file.")
  var file: String?

  func validate() throws {
    guard list else { throw ValidationError("-l lists; nothing else is done here") }
    guard kernel != (file != nil) else { throw ValidationError("A FILE, or --kernel") }
  }

  func run() throws {
    switch ProbeListing.text(file.map { .file($0) } ?? .kernel(machine), symbol: symbol) {
    case .success(let text): try printOutput(text)
    case .failure(let error):
      printError("emu: \(error)")
      throw ExitCode(error.status)
    }
  }
}
