import ArgumentParser
import Foundation

/// Judges the hart and the machine by QEMU, and by this host.
@main
struct Conformance: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emu-conformance",
    abstract: "Runs the same guest code here and under QEMU and compares.",
    discussion: """
      Exit status: 0 no difference, 1 a difference, 2 wrong usage, 3 QEMU is not installed.

      Examples:
        emu-conformance random
        emu-conformance random --seed 7 --insns 5000000
        emu-conformance random --seed 7 --program 123
        emu-conformance vectors Tests/RISCVTests/Vectors/*.ins
        emu-conformance programs --emu .build/release/emu
        emu-conformance bare
        emu-conformance busybox
        emu-conformance fuzz --seconds 60
        emu-conformance jit
        emu-conformance snapshot
        emu-conformance x86 --instances 10000000
        emu-conformance native
      """,
    subcommands: [
      RandomCommand.self, VectorsCommand.self, ProgramsCommand.self, BareCommand.self,
      BusyboxCommand.self, FuzzCommand.self, VerifyCasesCommand.self, ReplayCasesCommand.self,
      JITCommand.self, SnapshotCommand.self,
      X86Command.self, NativeCommand.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as ToolError {
      FileHandle.standardError.write(Data("emu-conformance: \(error)\n".utf8))
      Foundation.exit(error.status)
    } catch let code as ExitCode {
      Foundation.exit(code.rawValue)
    } catch {
      let status: Int32 = exitCode(for: error).isSuccess ? 0 : 2
      let text = fullMessage(for: error)
      let handle = status == 0 ? FileHandle.standardOutput : FileHandle.standardError
      handle.write(Data((text + "\n").utf8))
      Foundation.exit(status)
    }
  }
}
