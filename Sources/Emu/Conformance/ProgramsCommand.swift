import ArgumentParser
import Foundation

/// `emu-conformance programs`.
struct ProgramsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "programs",
    abstract: "Runs the Linux programs of images/user under emu and qemu-riscv64.",
    discussion: """
      Standard output and exit status must be equal, to QEMU's (its known mistakes, which \
      images/user/qemu-wrong.txt lists, put right) and to what is recorded in images/user/expected. \
      Which programs with what arguments: images/user/cases.txt.

      Examples:
        emu-conformance programs
        emu-conformance programs hello signals
        emu-conformance programs --emu .build/debug/emu --timeout 30
      """)

  @OptionGroup var options: CaseOptions

  mutating func run() throws {
    let qemu = try HostProcess.require("qemu-riscv64", package: "qemu-user")
    let emu = try options.emuPath()
    let folder = try CaseFolder(images: options.images, bare: false)
    let wrapper = Self.namespace(qemu)
    let cases = try folder.cases(only: options.cases)
    print(Report.line("case", "qemu", "emu", "time", "verdict"))
    var report = Report()
    for named in cases {
      let image = "user/riscv64/\(named.image).elf"
      let input = try folder.input(named)
      let home = folder.url.deletingLastPathComponent().path
      // QEMU waits for us, not beside us: two cores make times comparable.
      var theirs: Outcome?
      if named.oracle == nil {
        let variables = named.environment.flatMap { ["-E", $0] }
        let command = wrapper + [qemu] + variables + [image] + named.arguments
        theirs = try HostProcess(
          command[0], Array(command.dropFirst()), input: input, timeout: options.timeout,
          workingDirectory: home
        ).finish()
      }
      let began = Date()
      let variables = named.environment.flatMap { ["--env", $0] }
      let ours = try HostProcess(
        emu, ["run", "--caches", options.caches] + variables + [image] + named.arguments,
        input: input,
        timeout: options.timeout, workingDirectory: home
      ).finish()
      let seconds = Date().timeIntervalSince(began)
      report.add(
        named, qemu: theirs, emu: ours, seconds: seconds,
        complaints: judge(folder, named, ours, theirs))
    }
    try report.finish()
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
      if let text = difference(lines, corrected, from: "qemu-riscv64") { complaints.append(text) }
      let known = !folder.knownWrong(named).isEmpty
      if theirs.status != (known ? 1 : named.status) {
        complaints.append("qemu-riscv64 exits with \(theirs.status), not \(named.status)")
      }
    }
    if let expected = folder.expected(named),
      let text = difference(lines, expected, from: "expected/\(named.name).txt")
    {
      complaints.append(text)
    }
    return complaints
  }

  /// What lets children of a guest program `execve` under QEMU.
  ///
  /// That is `binfmt_misc` in a user namespace, or nothing where the host refuses (Linux before 6.7).
  static func namespace(_ qemu: String) -> [String] {
    guard let unshare = HostProcess.find("unshare"), let shell = HostProcess.find("sh") else {
      return []
    }
    let magic =
      #"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00"#
    let mask =
      #"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"#
    let script = """
      mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
      printf '%s' ':emu-riscv64:M::\(magic):\(mask):\(qemu):OCP' \
      >/proc/sys/fs/binfmt_misc/register && exec "$@"
      """
    let prefix = [unshare, "-Urm", shell, "-c", script, "sh"]
    let probe = try? HostProcess(unshare, Array(prefix.dropFirst()) + ["true"], timeout: 10)
      .finish()
    if probe?.status == 0 { return prefix }
    print("no binfmt_misc in a namespace: programs that execve are wrong under qemu-riscv64 here")
    return []
  }
}
