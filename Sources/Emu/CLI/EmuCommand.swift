import ArgumentParser
import Machine

/// The `emu` command.
@main
struct EmuCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emu",
    abstract: "A full-system emulator testbed for kernel and user probes.",
    discussion: """
      EXAMPLES
        emu run images/user/riscv64/hello.elf world
        emu run --stats --root /srv/riscv64 ./busybox sh -c 'seq 3'
        emu run --bare firmware.elf
        emu run --probe 'p vfs_read' images/user/riscv64/hello.elf
        emu probes -l images/user/riscv64/hello.elf --symbol main
        emu disasm images/user/riscv64/hello.elf --symbol main
        emu syscalls --status partial

      EXIT STATUS
        emu run exits with the program's status, or 128+n where signal n killed it. 124: the limit
        of --max-insns was reached. 125: emu itself failed, or the guest can't go on. 126: the
        program can't be executed. 127: there is no such program. 130: interrupted. 64: wrong usage, or a probe
        that is refused: nothing ran.
      """,
    version: "emu \(EmuVersion.text)",
    subcommands: [
      RunCommand.self, RecordCommand.self, ReplayCommand.self, TraceCommand.self, DiffCommand.self,
      CheckCommand.self, VerifyCommand.self, SelfTestCommand.self, ProbesCommand.self,
      DisasmCommand.self, SyscallsCommand.self,
    ])
}

/// Sizes as people write them: `4096`, `64K`, `512M`, `8G`.
struct ByteSize: ExpressibleByArgument {
  let bytes: UInt64

  init?(argument: String) {
    var digits = Substring(argument)
    var shift: UInt64 = 0
    if let last = digits.last,
      let unit = ["K", "M", "G", "T"].firstIndex(of: String(last).uppercased())
    {
      shift = 10 * UInt64(unit + 1)
      digits = digits.dropLast()
    }
    guard let count = UInt64(digits), count <= UInt64.max >> shift else { return nil }
    bytes = count << shift
  }

  init(_ bytes: UInt64) { self.bytes = bytes }

  var defaultValueDescription: String { "\(bytes >> 20)M" }
}

/// Numbers as people write them: `1000`, `1_000_000`, `10M`, `0x80200000`.
struct Count: ExpressibleByArgument {
  let value: UInt64

  init(_ value: UInt64) { self.value = value }

  var defaultValueDescription: String { "\(value)" }

  init?(argument: String) {
    let plain = argument.filter { $0 != "_" }
    if plain.hasPrefix("0x") || plain.hasPrefix("0X") {
      guard let value = UInt64(plain.dropFirst(2), radix: 16) else { return nil }
      self.value = value
      return
    }
    var digits = Substring(plain)
    var factor: UInt64 = 1
    if let last = digits.last, let unit = ["K", "M", "G"].firstIndex(of: String(last).uppercased())
    {
      factor = [1_000, 1_000_000, 1_000_000_000][unit]
      digits = digits.dropLast()
    }
    guard let count = UInt64(digits) else { return nil }
    let (value, overflow) = count.multipliedReportingOverflow(by: factor)
    guard !overflow else { return nil }
    self.value = value
  }
}

/// Writes text to standard output, or ends with a line that says that it can't.
func printOutput(_ text: String) throws {
  guard let problem = Listing.print(text) else { return }
  printError("emu: \(problem)")
  throw ExitCode(RunReport.Status.failure)
}
