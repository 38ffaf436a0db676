import Engine
import GuestKernel

/// `emu selftest`: the kernel's own tests of its probes, and what they leave out.
///
/// The cases of the suite `kprobes_test` have the names of Linux's; each case gets a machine of its
/// own and runs the guest kernel's probe targets, or a program made for this.
///
/// - SeeAlso: Linux, `lib/tests/test_kprobes.c`; `Documentation/dev-tools/ktap.rst`
public enum SelfTest {
  /// One test.
  struct Case {
    let name: String
    let body: (SelfTestRig) throws -> Void

    init(_ name: String, _ body: @escaping (SelfTestRig) throws -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Tests of one kind of probe.
  struct Suite {
    let name: String
    let cases: [Case]
  }

  static var suites: [Suite] { [kprobes, kernelText, uprobes, uretprobes, events] }

  /// Names of all tests, as ``run(matching:on:caches:output:)`` knows them: `SUITE.CASE`.
  public static var names: [String] {
    suites.flatMap { suite in suite.cases.map { "\(suite.name).\($0.name)" } }
  }

  /// Runs the tests whose name contains `filter`, and reports in KTAP.
  ///
  /// - Parameters:
  ///   - filter: part of a name; empty: all.
  ///   - architecture: which guest.
  ///   - caches: how stale the machine's caches may be.
  ///   - output: receives each line, without a newline.
  /// - Returns: how many tests failed; `nil` where no name contains `filter`.
  public static func run(
    matching filter: String = "", on architecture: ProgramArchitecture = .riscv64,
    caches: CacheModel = .coherent, output: (String) -> Void
  ) -> Int? {
    let chosen = suites.compactMap { suite -> Suite? in
      let cases = suite.cases.filter {
        filter.isEmpty || "\(suite.name).\($0.name)".contains(filter)
      }
      return cases.isEmpty ? nil : Suite(name: suite.name, cases: cases)
    }
    guard !chosen.isEmpty else { return nil }
    var failed = 0
    output("KTAP version 1")
    output("1..\(chosen.count)")
    for (number, suite) in chosen.enumerated() {
      let bad = run(suite, architecture, caches, output)
      failed += bad
      output("\(bad == 0 ? "ok" : "not ok") \(number + 1) \(suite.name)")
    }
    return failed
  }

  private static func run(
    _ suite: Suite, _ architecture: ProgramArchitecture, _ caches: CacheModel,
    _ output: (String) -> Void
  ) -> Int {
    var failed = 0
    output("    KTAP version 1")
    output("    # Subtest: \(suite.name)")
    output("    1..\(suite.cases.count)")
    for (number, test) in suite.cases.enumerated() {
      var lines: [String] = []
      var notes: [String] = []
      do {
        let rig = try SelfTestRig(architecture, caches)
        try test.body(rig)
        lines =
          rig.failures
          + rig.messages.map { "guest kernel: \($0)" }.filter { _ in
            !rig.failures.isEmpty
          }
        notes = rig.notes
      } catch {
        lines.append("\(error)")
      }
      for line in lines + notes { output("    # \(test.name): \(line)") }
      output("    \(lines.isEmpty ? "ok" : "not ok") \(number + 1) \(test.name)")
      if !lines.isEmpty { failed += 1 }
    }
    let passed = suite.cases.count - failed
    output(
      "    # \(suite.name): pass:\(passed) fail:\(failed) skip:0 total:\(suite.cases.count)")
    return failed
  }
}
