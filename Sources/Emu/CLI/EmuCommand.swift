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
        emu record -o run.emutrace images/user/riscv64/hello.elf; emu replay run.emutrace
        emu trace run.emutrace --from 1000 --to 1100
        emu probes -l images/user/riscv64/hello.elf --symbol main
        emu disasm images/user/riscv64/hello.elf --symbol main
        emu test scenarios/*.yaml
        emu syscalls --status partial

      EXIT STATUS
        emu run exits with the program's status, or 128+n where signal n killed it. 124: the limit
        of --max-insns was reached. 125: emu itself failed, or the guest can't go on. 126: the
        program can't be executed. 127: there is no such program. 130: interrupted. 64: wrong usage,
        or a probe that is refused: nothing ran. 122: a trace or log can't be read. 123: a replay is
        not the run that was recorded. 0 and 1 of diff and check: no difference, a difference.
      """,
    version: "emu \(EmuVersion.text)",
    subcommands: [
      RunCommand.self, TestCommand.self, RecordCommand.self, ReplayCommand.self,
      TraceCommand.self, DiffCommand.self, CheckCommand.self, VerifyCommand.self,
      SelfTestCommand.self, ProbesCommand.self, DisasmCommand.self, SyscallsCommand.self,
    ])
}

/// Sizes as people write them: `4096`, `64K`, `512M`, `8G`.
struct ByteSize: ExpressibleByArgument {
  let bytes: UInt64

  init?(argument: String) {
    guard let bytes = Quantity.bytes(argument) else { return nil }
    self.bytes = bytes
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
    guard let value = Quantity.count(argument) else { return nil }
    self.value = value
  }
}

/// Writes text to standard output, or ends with a line that says that it can't.
func printOutput(_ text: String) throws {
  guard let problem = Listing.print(text) else { return }
  printError("emu: \(problem)")
  throw ExitCode(RunReport.Status.failure)
}
