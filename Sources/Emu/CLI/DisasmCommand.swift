import ArgumentParser
import Machine

struct DisasmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disasm",
    abstract: "Disassemble an ELF file.",
    discussion: """
      Without --symbol or --start, all executable sections are listed.

      EXAMPLES
        emu disasm images/user/riscv64/hello.elf --symbol main
        emu disasm images/user/riscv64/hello.elf --start 0x10200 --count 20
      """)

  @Option(help: "Only this function.")
  var symbol: String?

  @Option(help: "Start at this address.")
  var start: Count?

  @Option(help: "At most this many instructions.")
  var count: Count?

  @Argument(help: "The ELF file.")
  var file: String

  func validate() throws {
    if symbol != nil, start != nil { throw ValidationError("--symbol or --start, not both") }
  }

  func run() throws {
    let place: Listing.Place
    if let symbol {
      place = .symbol(symbol)
    } else if let start {
      place = .address(start.value)
    } else {
      place = .all
    }
    switch Listing.disassemble(file, place, limit: count?.value) {
    case .success(let text): try printOutput(text)
    case .failure(let error):
      printError("emu: \(error)")
      throw ExitCode(error.status)
    }
  }
}
