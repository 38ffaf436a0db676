import Foundation
import Harness
import Testing

/// Reports that other programs read.
struct ReportTests {
  private static let entries: [ScenarioEntry] = {
    var good = ScenarioEntry(file: "a.yaml", name: "good # one", result: ScenarioResult())
    good.seconds = 1.5
    var bad = ScenarioEntry(
      file: "b<&>.yaml", name: "it's \"bad\"", result: ScenarioResult(seed: 7))
    bad.result.failures = ["one: expected <1>, seen \u{1b}&2\n  more", "two"]
    bad.result.context = ["count 5, pc 0x10"]
    return [good, bad]
  }()

  private func python(_ program: String, _ input: String) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-c", program]
    let (input1, output) = (Pipe(), Pipe())
    process.standardInput = input1
    process.standardOutput = output
    try process.run()
    input1.fileHandleForWriting.write(Data(input.utf8))
    try input1.fileHandleForWriting.close()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: data, as: UTF8.self)
  }

  private static let hasPython: Bool = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/python3") }
  }()

  @Test func text() {
    #expect(
      ScenarioReport.text(Self.entries, .text) == """
        ok      good # one
        FAILED  it's "bad"
                one: expected <1>, seen \u{1b}&2
                  more
                two
                count 5, pc 0x10
                repeat: emu test 'b<&>.yaml' --filter 'it'\\''s "bad"' --seed 7
        1 passed, 1 failed

        """)
  }

  @Test func tap() {
    #expect(
      ScenarioReport.text(Self.entries, .tap) == """
        TAP version 14
        1..2
        ok 1 - good \\# one
        not ok 2 - it's "bad"
          ---
          file: "b<&>.yaml"
          seed: 7
          repeat: "emu test 'b<&>.yaml' --filter 'it'\\\\''s \\"bad\\"' --seed 7"
          message: |
            one: expected <1>, seen ?&2
              more
            two
            count 5, pc 0x10
          ...

        """)
  }

  /// Python's own XML parser reads it, and finds what was meant.
  @Test(.enabled(if: hasPython)) func junit() throws {
    let program = """
      import sys, xml.etree.ElementTree as E
      root = E.fromstring(sys.stdin.read())
      print(root.tag, root.get("tests"), root.get("failures"))
      for suite in root:
        for case in suite:
          failure = case.find("failure")
          print(case.get("classname"), case.get("name"), case.get("time"),
            failure.get("message") if failure is not None else "-")
      """
    let text = try python(program, ScenarioReport.text(Self.entries, .junit))
    #expect(
      text == """
        testsuites 2 1
        a.yaml good # one 1.500000 -
        b<&>.yaml it's "bad" 0.000000 one: expected <1>, seen ?&2

        """)
  }
}
