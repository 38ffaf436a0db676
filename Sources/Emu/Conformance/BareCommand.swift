import ArgumentParser
import Foundation

/// `emu-conformance bare`.
struct BareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bare",
    abstract: "Runs the bare images of images/bare under emu and qemu-system-riscv64.",
    discussion: """
      What the UART prints and the exit status must be equal, to QEMU's (its known mistakes, which \
      images/bare/qemu-wrong.txt lists, put right) and to what is recorded in images/bare/expected.

      Examples:
        emu-conformance bare
        emu-conformance bare traps paging --emu .build/debug/emu
      """)

  @OptionGroup var options: CaseOptions

  mutating func run() throws {
    let qemu = try HostProcess.require("qemu-system-riscv64", package: "qemu-system-misc")
    let emu = try options.emuPath()
    let folder = try CaseFolder(images: options.images, bare: true)
    let cases = try folder.cases(only: options.cases)
    print(Report.line("case", "qemu", "emu", "time", "verdict"))
    var report = Report()
    for named in cases {
      let home = folder.url.deletingLastPathComponent().path
      let image = "bare/riscv64/\(named.name).elf"
      let input = named.input.map { "bare/\($0)" } ?? "/dev/null"
      var theirs: Outcome?
      if named.oracle == nil {
        // The sleeping writer keeps QEMU's standard input open: at its end `-serial stdio` would quit.
        let firmware = named.firmware ? [] : ["-bios", "none"]
        let machine = [
          "-M", named.machine, "-display", "none", "-monitor", "none", "-serial", "stdio",
          "-kernel", image,
        ]
        theirs = try HostProcess(
          "/bin/sh",
          ["-c", "input=$1; shift; { sleep 1; cat \"$input\"; } | exec \"$@\"", "sh", input, qemu]
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
    if let theirs {
      let corrected = folder.corrected(folder.normal(theirs.output, named), named)
      if let text = difference(lines, corrected, from: "qemu-system-riscv64") {
        complaints.append(text)
      }
      if theirs.status != named.status {
        complaints.append("qemu-system-riscv64 exits with \(theirs.status), not \(named.status)")
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
