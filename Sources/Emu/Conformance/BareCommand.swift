import ArgumentParser
import Foundation

/// `emu-conformance bare`.
struct BareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bare",
    abstract: "Runs the bare images of images/bare under emu and QEMU.",
    discussion: """
      What the UART prints and the exit status must be equal, to QEMU's (its known mistakes, which \
      images/bare/qemu-wrong.txt lists, put right) and to what is recorded in images/bare/expected.

      Examples:
        emu-conformance bare
        emu-conformance bare --isa x86_64
        emu-conformance bare traps paging --emu .build/debug/emu
      """)

  @OptionGroup var options: CaseOptions

  @Option(help: "The images' instruction set: riscv64 or x86_64.")
  var isa = "riscv64"

  private var isPC: Bool { isa == "x86_64" }
  private var qemuName: String { "qemu-system-\(isa)" }

  mutating func run() throws {
    guard ["riscv64", "x86_64"].contains(isa) else {
      throw ToolError(description: "--isa is riscv64 or x86_64")
    }
    let qemu = try HostProcess.require(
      qemuName, package: isPC ? "qemu-system-x86" : "qemu-system-misc")
    let emu = try options.emuPath()
    let folder = try CaseFolder(images: options.images, bare: true)
    let cases = try folder.cases(only: options.cases, isa: isa)
    print(Report.line("case", "qemu", "emu", "time", "verdict"))
    var report = Report()
    for named in cases {
      let home = folder.url.deletingLastPathComponent().path
      let image = "bare/\(isa)/\(named.name).elf"
      let input = named.input.map { "bare/\($0)" } ?? "/dev/null"
      var theirs: Outcome?
      if named.oracle == nil {
        // The sleeping writer keeps QEMU's standard input open: at its end `-serial stdio` would quit.
        // A PC boots an image by its firmware, and has the port to end it only if told so.
        let firmware =
          isPC
          ? ["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
          : ["-M", named.machine] + (named.firmware ? [] : ["-bios", "none"])
        let machine = [
          "-display", "none", "-monitor", "none", "-serial", "stdio",
          "-kernel", image,
        ]
        theirs = try HostProcess(
          "/bin/bash",
          // QEMU takes the shell's place, so that what is killed at the time limit is QEMU.
          ["-c", "input=$1; shift; exec \"$@\" < <(sleep 1; cat \"$input\")", "bash", input, qemu]
            + firmware + machine + named.arguments, timeout: options.timeout,
          workingDirectory: home
        ).finish()
      }
      let began = Date()
      let ours = try HostProcess(
        emu,
        ["run", "--bare", "--caches", options.caches] + Self.translated(named.arguments) + [image],
        input: try folder.input(named), timeout: options.timeout, workingDirectory: home
      ).finish()
      let seconds = Date().timeIntervalSince(began)
      report.add(
        named, qemu: theirs, emu: ours, seconds: seconds,
        complaints: judge(folder, named, ours, theirs))
    }
    try report.finish()
  }

  /// QEMU's options as emu has them.
  private static func translated(_ arguments: [String]) -> [String] {
    arguments.map { $0 == "-smp" ? "--harts" : $0 }
  }

  private func judge(
    _ folder: CaseFolder, _ named: Case, _ ours: Outcome, _ theirs: Outcome?
  ) -> [String] {
    var complaints: [String] = []
    if ours.timedOut { complaints.append("emu does not end within \(options.timeout) s") }
    if ours.status != named.status {
      complaints.append("exit status \(ours.status), not \(named.status)")
    }
    let lines = folder.normal(ours.output, named)
    if let theirs, theirs.timedOut {
      complaints.append("\(qemuName) does not end within \(options.timeout) s")
    } else if let theirs {
      let corrected = folder.corrected(folder.normal(theirs.output, named), named)
      if let text = difference(lines, corrected, from: qemuName) {
        complaints.append(text)
      }
      if theirs.status != named.status {
        complaints.append("\(qemuName) exits with \(theirs.status), not \(named.status)")
      }
    }
    if let expected = folder.expected(named),
      let text = difference(lines, expected, from: "expected/\(named.name).txt")
    {
      complaints.append(text)
    }
    return complaints
  }
}
