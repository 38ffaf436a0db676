import Foundation
import Testing

/// `emu test` by its exit status and by what it prints.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct CommandLineScenarioTests {
  private static let good = """
    name: good
    asm: |
      _start: li a0, 3
              li a7, 93
              ecall
    expect: {exit: 3}

    """
  private static let bad = good.replacing("name: good", with: "name: bad")
    .replacing("exit: 3", with: "exit: 4")

  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.file("good.yaml", Self.good)
    try scratch.file("bad.yaml", Self.bad)
    try scratch.file("wrong.yaml", Self.good + "expct: 1\n")
    try scratch.file("endless.yaml", "asm: '1: j 1b'\nlimit: 1000G\nexpect: {exit: limit}\n")
  }

  private func path(_ name: String) -> String { "\(scratch.path)/\(name).yaml" }

  @Test func passed() throws {
    let result = try Child.run("test", path("good"), path("good"))
    #expect(result.status == 0)
    #expect(result.output == "ok      good\nok      good\n2 passed, 0 failed\n")
    #expect(result.errors == "")
  }

  @Test func failed() throws {
    let result = try Child.run("test", path("good"), path("bad"))
    #expect(result.status == 1)
    #expect(result.output.contains("FAILED  bad\n        the end: expected exit status 4, seen"))
    #expect(
      result.output.contains("        repeat: emu test \(path("bad")) --filter bad\n"))
    #expect(result.output.hasSuffix("1 passed, 1 failed\n"))
  }

  /// The line that a failure prints repeats it.
  @Test func seeds() throws {
    let result = try Child.run("test", path("bad"), "--seeds", "5..<9")
    #expect(result.status == 1)
    #expect(result.output.hasPrefix("FAILED  bad (seed 5)\n"))
    let line = try #require(result.output.split(separator: "\n").first { $0.contains("repeat:") })
    let words = try #require(line.components(separatedBy: "emu ").last).split(separator: " ")
    let again = try Child(words.map(String.init)).finish()
    #expect(again.status == 1)
    #expect(again.output.contains("--seed 5"))
    #expect(
      try Child.run("test", path("good"), "--seeds", "0...99").output
        == "ok      good (100 seeds)\n1 passed, 0 failed\n")
  }

  /// A failure's trace is replayed by the line that names it.
  @Test func traces() throws {
    let folder = "\(scratch.path)/traces"
    let result = try Child.run("test", path("bad"), path("good"), "--traces", folder, "--seed", "2")
    #expect(result.status == 1)
    let line = try #require(result.output.split(separator: "\n").first { $0.contains("trace:") })
    #expect(line.hasSuffix("emu replay \(folder)/bad-seed2.emutrace"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["bad-seed2.emutrace"])
    let replayed = try Child.run("replay", "\(folder)/bad-seed2.emutrace")
    #expect(replayed.status == 3)
    #expect(replayed.errors == "")
    #expect(try Child.run("test", path("good"), "--traces", "/no/such/folder").status == 125)
  }

  /// Both engines and another process do the same; a scenario that fails is no matter.
  @Test func check() throws {
    let result = try Child.run("test", path("bad"), path("good"), "--check", "--seeds", "0..<3")
    #expect(result.status == 0)
    #expect(result.output == "6 runs on two engines and in two processes: all the same\n")
    #expect(result.errors == "")
    let lines = try Child.run("test", path("good"), "--fingerprints", "--seed", "1").output
    #expect(lines.hasPrefix("good seed 1: exit status 3, "))
  }

  @Test func unknownKey() throws {
    let result = try Child.run("test", path("good"), path("wrong"))
    #expect(result.status == 64)
    #expect(result.output == "")
    #expect(
      result.errors == "emu: \(path("wrong")):7:1: unknown key 'expct'; did you mean 'expect'?\n")
  }

  @Test(arguments: [
    ["test"], ["test", "x.yaml", "--seeds", "9..<3"], ["test", "x.yaml", "--seeds", "x"],
    ["test", "x.yaml", "--seed", "1", "--seeds", "1...2"], ["test", "x.yaml", "--jobs", "0"],
    ["test", "x.yaml", "--format", "xml"],
    ["test", "x.yaml", "--seeds", "0...18446744073709551615"],
  ])
  func usage(_ arguments: [String]) throws {
    let result = try Child(arguments).finish()
    #expect(result.status == 64)
    #expect(result.errors.contains("Usage: emu test"))
  }

  @Test func nothingToRun() throws {
    let result = try Child.run("test", path("good"), "--filter", "x")
    #expect(result.status == 64)
    #expect(result.errors == "emu: no scenario's name contains 'x'\n")
    let missing = try Child.run("test", "/no/such.yaml")
    #expect(missing.status == 64)
    #expect(missing.errors == "emu: /no/such.yaml: No such file or directory\n")
  }

  /// Several at once say the same in the same order.
  @Test func jobs() throws {
    let files = ["good", "bad", "good", "bad", "good"].map(path)
    let one = try Child(["test"] + files).finish()
    let three = try Child(["test", "--jobs", "3"] + files).finish()
    #expect(one.output == three.output)
    #expect(three.status == 1)
  }

  @Test func reports() throws {
    let file = "\(scratch.path)/report"
    let result = try Child.run("test", path("bad"), "--format", "tap", "-o", file)
    #expect(result.status == 1)
    #expect(result.output == "")
    #expect(scratch.text("report").hasPrefix("TAP version 14\n1..1\nnot ok 1 - bad\n  ---\n"))
    let nowhere = try Child.run("test", path("good"), "-o", "/no/such/report")
    #expect(nowhere.status == 125)
    #expect(nowhere.errorLines.count == 2)
    #expect(try Child.run("test", path("good"), output: .full).status == 125)
  }

  /// Ctrl-C ends it, and what had ended before is reported.
  @Test func interrupted() throws {
    // On a busy host it takes a while to come to where signals are caught.
    var naps: UInt32 = 1
    while true {
      let child = try Child(["test", path("good"), path("endless"), path("good")])
      usleep(naps * 500_000)
      child.send(SIGINT)
      let result = try child.finish()
      if result.wasKilled, naps < 32 {
        naps *= 2
        continue
      }
      #expect(result.status == 130)
      #expect(
        ["0 passed, 0 failed\n", "ok      good\n1 passed, 0 failed\n"].contains(result.output))
      #expect(result.errors.hasPrefix("emu: interrupted after "))
      #expect(result.errors.hasSuffix(" of 3 scenarios\n"))
      return
    }
  }
}
