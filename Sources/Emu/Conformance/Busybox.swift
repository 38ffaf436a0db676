import ArgumentParser
import Foundation
import Machine

extension ProgramArchitecture: ExpressibleByArgument {}

/// `emu-conformance busybox`.
struct BusyboxCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "busybox",
    abstract: "Runs a shell script with Debian's busybox under emu and qemu-riscv64, or natively.",
    discussion: """
      Standard output, standard error and exit status must be equal. Without --busybox, \
      scripts/fetch-busybox.sh fetches Debian's busybox-static for riscv64 (trixie) or amd64 through \
      apt. What runs on x86_64 is compared with this host's own processor.

      Examples:
        emu-conformance busybox
        emu-conformance busybox --isa x86_64
        emu-conformance busybox --busybox ./busybox --script my.sh
      """)

  @Option(help: "The emu executable (default: beside this tool).")
  var emu: String?

  @Option(help: "The instruction set: riscv64, or x86_64 on such a host.")
  var isa = ProgramArchitecture.riscv64

  @Option(help: "A static busybox for the instruction set; fetched without it.")
  var busybox: String?

  @Option(help: "The script; $1 is an empty directory, $2 the path of busybox.")
  var script = "images/user/busybox/script.sh"

  @Option(help: "Run emu with these caches: coherent or architectural.")
  var caches = "coherent"

  @Option(help: "Seconds after which a run is killed.")
  var timeout: Double = 300

  mutating func run() throws {
    let isNative = isa == .x86_64
    let qemu =
      isNative ? nil : try HostProcess.require("qemu-riscv64", package: "qemu-user")
    let options = try CaseOptions.parse(emu.map { ["--emu", $0] } ?? [])
    let emu = try options.emuPath()
    guard let text = try? String(contentsOfFile: script, encoding: .utf8) else {
      throw ToolError(description: "\(script) can't be read")
    }
    let box = try URL(fileURLWithPath: busybox ?? Self.fetch(isNative ? "amd64" : "riscv64")).path
    guard FileManager.default.isExecutableFile(atPath: box) else {
      throw ToolError(description: "\(box) is not executable")
    }
    // Only applets: a program of the host would be another one.
    let variables = ["PATH=/nowhere", "HOME=/"]
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      "emu-busybox-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let wrapper = qemu.map { ProgramsCommand.namespace($0) } ?? []
    guard isNative || !wrapper.isEmpty else {
      throw ToolError(
        description: "the host has no binfmt_misc in a user namespace, which applets need under "
          + "qemu-riscv64 (Linux 6.7 or later)", status: 3)
    }
    func command(_ place: String) -> [String] { [box, "sh", "-c", text, "sh", place, box] }

    var began = Date()
    let theirs = try start(
      wrapper + ["/usr/bin/env", "-i"] + variables + (qemu.map { [$0] } ?? [])
        + command(directory.path)
    ).finish()
    let their = Date().timeIntervalSince(began)
    began = Date()
    let ours = try start(
      [emu, "run", "--caches", caches] + variables.flatMap { ["--env", $0] } + command("/tmp")
    ).finish()
    let our = Date().timeIntervalSince(began)

    let whom = isNative ? "this host" : "qemu-riscv64"
    let complaints = judge(ours, theirs, whom, place: directory.path)
    for complaint in complaints { print("busybox: \(complaint)") }
    let lines = CaseFolder.lines(ours.output).count - 1
    print(
      "busybox: \(lines) lines of output, status \(ours.status), emu "
        + String(format: "%.2f s, \(whom) %.2f s: ", our, their)
        + (complaints.isEmpty ? "same" : "DIFFERS"))
    if !complaints.isEmpty { throw ExitCode(1) }
  }

  private func start(_ command: [String]) throws -> HostProcess {
    try HostProcess(
      command[0], Array(command.dropFirst()), timeout: timeout, workingDirectory: "/")
  }

  /// What differs; the script's directory has two names.
  private func judge(
    _ ours: Outcome, _ theirs: Outcome, _ oracle: String, place: String
  ) -> [String] {
    var complaints: [String] = []
    for (outcome, whom) in [(ours, "emu"), (theirs, oracle)] where outcome.timedOut {
      complaints.append("\(whom) does not end within \(timeout) s")
    }
    if ours.status != theirs.status {
      complaints.append("emu's status is \(ours.status), that of \(oracle) \(theirs.status)")
    }
    func lines(_ bytes: [UInt8]) -> [String] {
      CaseFolder.lines(bytes).map { $0.replacingOccurrences(of: place, with: "/tmp") }
    }
    for (name, our, their) in [
      ("standard output", ours.output, theirs.output),
      ("standard error", ours.errors, theirs.errors),
    ] {
      if let text = difference(lines(our), lines(their), from: oracle) {
        complaints.append("\(name), \(text)")
      }
    }
    return complaints
  }

  /// The path of Debian's busybox, fetched if it is not there yet.
  static func fetch(_ architecture: String = "riscv64") throws -> String {
    let fetcher = "scripts/fetch-busybox.sh"
    guard FileManager.default.fileExists(atPath: fetcher) else {
      throw ToolError(description: "\(fetcher) is not here; --busybox PATH says which busybox")
    }
    let outcome = try HostProcess("/bin/bash", [fetcher, architecture], timeout: 300).finish()
    let path = String(decoding: outcome.output, as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    guard outcome.status == 0, !path.isEmpty else {
      let reason = String(decoding: outcome.errors, as: UTF8.self)
      throw ToolError(
        description: "busybox can't be fetched: "
          + reason.trimmingCharacters(in: .whitespacesAndNewlines), status: 3)
    }
    return path
  }
}
