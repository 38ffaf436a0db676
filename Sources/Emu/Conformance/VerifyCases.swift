import ArgumentParser
import Foundation

/// `emu-conformance verify`.
struct VerifyCasesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Runs emu verify on every program in images/user and on a script of busybox applets.",
    discussion: """
      Each program runs with all of its instructions probed, then with the kernel's text probed. A
      difference is a failure, but in programs that look at what probes are known to change
      (Verification's documented differences).

      Examples:
        emu-conformance verify
        emu-conformance verify --modes once --only hello --only threads
      """)

  @Option(help: "The emu executable (default: beside this tool).")
  var emu: String?

  @Option(help: "The folder with the guest images.")
  var images = "images"

  @Option(help: "A static busybox for riscv64; fetched without it.")
  var busybox: String?

  @Option(help: "Only these cases, or 'busybox'.")
  var only: [String] = []

  @Option(help: "Only these modes: every-insn, once, kernel-only.")
  var modes: [String] = []

  @Option(help: "Run with these caches: coherent or architectural.")
  var caches = "coherent"

  @Option(help: "Most instructions of a program.")
  var maxInsns = 1_000_000

  @Option(help: "Seconds after which a run is killed.")
  var timeout: Double = 600

  /// Programs that read their own mappings, or what a break of their own is reported as.
  private static let documented: Set<String> = ["proc", "signals"]

  mutating func run() throws {
    let options = try CaseOptions.parse(emu.map { ["--emu", $0] } ?? [])
    let emu = try options.emuPath()
    let folder = try CaseFolder(images: images, bare: false)
    let names = only.filter { $0 != "busybox" }
    var cases = only.isEmpty || !names.isEmpty ? try folder.cases(only: names) : []
    cases.removeAll { $0.status > 125 && $0.name.contains("missing") }
    let modes = modes.isEmpty ? ["every-insn", "once", "kernel-only"] : modes
    var failures = 0
    for one in cases {
      let image = folder.url.appendingPathComponent("riscv64/\(one.image).elf").path
      for mode in modes {
        let command =
          ["verify", "--\(mode)", "--caches", caches, "--max-insns", "\(maxInsns)"]
          + one.environment.flatMap { ["--env", $0] } + [image] + one.arguments
        failures += try judge(
          "\(one.name) \(mode)", emu, command, try folder.input(one),
          mayDiffer: mode != "kernel-only" && Self.documented.contains(one.image))
      }
    }
    if only.isEmpty || only.contains("busybox") {
      let box = try URL(fileURLWithPath: busybox ?? BusyboxCommand.fetch()).path
      let script = try String(
        contentsOfFile: "\(images)/user/busybox/applets.sh", encoding: .utf8)
      for mode in modes {
        let command = [
          "verify", "--\(mode)", "--caches", caches, box, "sh", "-c", script, "sh", box,
        ]
        failures += try judge("busybox \(mode)", emu, command, [], mayDiffer: false)
      }
    }
    print(failures == 0 ? "verify: no difference" : "verify: \(failures) runs differ or failed")
    if failures > 0 { throw ExitCode(1) }
  }

  /// Runs one verification, and says in a line what it covered.
  ///
  /// - Returns: 1 for a failure.
  private func judge(
    _ name: String, _ emu: String, _ command: [String], _ input: [UInt8], mayDiffer: Bool
  ) throws -> Int {
    let outcome = try HostProcess(emu, command, input: input, timeout: timeout).finish()
    let report = String(decoding: outcome.errors, as: UTF8.self).split(separator: "\n")
      .filter { $0.hasPrefix("emu: ") }.map { $0.dropFirst(5) }
    func figure(_ word: String) -> String {
      report.first { $0.drop { $0 == " " }.hasPrefix(word) }
        .map { $0.drop { $0 == " " }.dropFirst(word.count).drop { $0 == " " } }.map(String.init)
        ?? "-"
    }
    let verdict = report.first { $0.contains("difference") }.map(String.init) ?? "no report"
    let isGood = outcome.status == 0 && verdict.contains("no difference")
    let isKnown = outcome.status == 1 && mayDiffer
    print("\(name): \(verdict.split(separator: ":").last ?? "")")
    print("  out of line \(figure("out of line")); simulated \(figure("simulated"))")
    if isGood || isKnown {
      if isKnown { print("  as documented") }
      return 0
    }
    for line in report { print("  \(line)") }
    print("  status \(outcome.status)\(outcome.timedOut ? ", too late" : "")")
    return 1
  }
}
