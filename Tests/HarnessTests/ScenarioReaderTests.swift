import Foundation
import Harness
import Testing

/// Files that are no scenarios: one clear line each.
struct ScenarioReaderTests {
  private func error(_ text: String) -> String {
    do {
      let file = try ScenarioFile(Array(text.utf8), path: "dir/x.yaml")
      for (index, scenario) in file.scenarios.enumerated() {
        do throws(HarnessError) {
          _ = try PreparedScenario(scenario)
        } catch {
          return file.error(error, of: index).description
        }
      }
      return "none"
    } catch {
      return "\(error)"
    }
  }

  @Test(arguments: [
    ("asm: nop\nprobs: []", "dir/x.yaml:2:1: unknown key 'probs'; did you mean 'probes'?"),
    (
      "asm: nop\nmachine: {guest: riscv}",
      "dir/x.yaml:2:18: unknown 'riscv'; did you mean 'riscv64'?"
    ),
    (
      "asm: nop\nmachine: {cashes: x}",
      "dir/x.yaml:2:11: unknown key 'cashes'; did you mean 'caches'?"
    ),
    ("asm: nop\nzzzzzzzzzz: 1", "dir/x.yaml:2:1: unknown key 'zzzzzzzzzz'"),
    ("asm: nop\nlimit: many", "dir/x.yaml:2:8: 'many' is no number"),
    ("asm: nop\nlimit: 0", "dir/x.yaml:2:8: 0 is not from 1 to 1000000000000"),
    ("asm: nop\nprobes: {a: b}", "dir/x.yaml:2:9: a list is wanted here, not a mapping"),
    ("asm: nop\nexpect: [1]", "dir/x.yaml:2:9: a mapping is wanted here (expect), not a list"),
    ("asm: [nop]", "dir/x.yaml:1:6: a text is wanted here, not a list"),
    ("name: x", "dir/x.yaml:1:1: 'asm' or 'program' is missing"),
    ("asm: nop\nprogram: x", "dir/x.yaml:1:1: 'asm' or 'program', not both"),
    ("asm: nop\nasm: nop", "dir/x.yaml:2:1: 'asm' is there twice"),
    ("program: no-such-file", "dir/x.yaml: dir/no-such-file: No such file or directory"),
    ("- 1", "dir/x.yaml:1:1: a mapping is wanted here (scenario), not a list"),
    ("", "dir/x.yaml: it holds no scenario"),
    ("asm: {", "dir/x.yaml:2:1: did not find expected node content"),
    ("asm: \"x", "dir/x.yaml:1:8: found unexpected end of stream"),
    ("asm: *x", "dir/x.yaml:1:6: there is no anchor 'x'"),
    ("a: &a [*a]", "dir/x.yaml:1:8: there is no anchor 'a'"),
    ("\u{1}", "dir/x.yaml: control characters are not allowed at byte 0"),
    ("asm: |\n  nop\n  addi a0, a0, 5000\n", "dir/x.yaml:3:16: 5000 does not fit: -2048 to 2047"),
    ("asm: |\n\n\n    nop\n    frob\n", "dir/x.yaml:5:5: unknown instruction 'frob'"),
    ("asm: nop; frob", "dir/x.yaml:1:6: asm:1:6: unknown instruction 'frob'"),
    (
      "asm: nop\nlegacy: [noBlaklist]",
      "dir/x.yaml:2:10: unknown 'noBlaklist'; did you mean 'noBlacklist'?"
    ),
    (
      "asm: nop\nprobes: [{define: x, refused: EINVALID}]",
      "dir/x.yaml:2:31: unknown 'EINVALID'; did you mean 'EINVAL'?"
    ),
    (
      "asm: nop\nexpect: {exit: 256}",
      "dir/x.yaml:2:16: '256' is no status from 0 to 255, signal, 'limit', 'stuck', 'reset' or 'panic'"
    ),
    ("asm: nop\nmachine: {memory: 1M}", "dir/x.yaml:2:19: 4M to 8G is wanted"),
    ("asm: nop\nmachine: {harts: 2}", "dir/x.yaml:2:10: 'harts' and 'entry' are for 'board: bare'"),
    ("asm: nop\nfiles: {etc: x}", "dir/x.yaml:2:14: 'etc' is no absolute path"),
    (
      "asm: nop\nexpect: {memory: [{at: x}]}",
      "dir/x.yaml:2:19: 'at' and one of u8, u16, u32, u64, bytes and text are wanted"
    ),
    (
      "asm: nop\nexpect: {memory: [{at: x, bytes: 0g}]}",
      "dir/x.yaml:2:34: pairs of hex digits are wanted"
    ),
    ("asm: nop\nexpect: {differs: some}", "dir/x.yaml:2:19: 'none' is wanted"),
    ("asm: nop\nname: \"a\\nb\"", "dir/x.yaml:2:7: a name is one line of at most 200 bytes"),
    ("asm: nop\nexpect-failure: \"\"", "dir/x.yaml:2:17: a part of a message is wanted"),
  ])
  func errors(text: String, message: String) {
    #expect(error(text) == message)
  }

  /// Depth, repetition and size are bounded.
  @Test func hostileFiles() {
    #expect(error(String(repeating: "[", count: 100_000)).contains("levels of nesting"))
    #expect(error(String(repeating: "- ", count: 100_000)).contains("levels of nesting"))
    #expect(error(String(repeating: "{a: ", count: 1000)).contains("levels of nesting"))
    var laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
      let parts = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      laughs += "a\(level): &a\(level) [\(parts)]\n"
    }
    #expect(error(laughs).contains("more than 50000 values"))
    #expect(error(String(repeating: "x", count: 2 << 20)).contains("more than 1 MiB"))
    #expect(error(String(repeating: "---\n- x\n", count: 2000)).contains("1000 scenarios"))
  }

  /// A file that is a folder, that is none, that can't be read.
  @Test(arguments: ["/", "/no/such.yaml", "/dev/null"])
  func files(path: String) {
    #expect {
      try ScenarioFile(path)
    } throws: {
      let text = "\($0)"
      return text.hasPrefix(path + ": ") && !text.contains("\n")
    }
  }

  @Test func everythingIsRead() throws {
    let text = """
      name: all
      description: of it
      machine: {guest: riscv64, board: linux, memory: 32M, caches: architectural, engine: jit}
      program: p
      arguments: [a, "1"]
      environment: {A: b}
      input: x
      files: {/f: text}
      probes:
        - p:a b
        - {define: "p:c d", refused: EINVAL}
        - {define: "p:e f", action: {set: {a0: -1}}}
        - {define: "p:g h", action: {override: 0x10}}
        - {define: "p:i j", action: {skip: true}}
        - {define: "p:k l", action: {redirect: m+4}}
      legacy: [noBlacklist, anyAddress]
      limit: 5K
      stops:
        - {at: main, nth: 2, registers: {a0: 1}, memory: [{at: x, text: ab}]}
      expect:
        exit: SIGTRAP
        output: {exactly: a, contains: b, lacks: [c, d]}
        fault: {at: x, address: 0x10}
        hits: {a: 1, b: {at-least: 2}}
        missed: {a: {at-most: 3}}
        events: [a, {event: b, args: {c: d}, pid: 3}]
        registers: {a0: 1}
        memory: [{at: x, u16: 0x102}, {at: y, bytes: "01 ff"}]
        counters: {ticks: 4}
        differs: none
      expect-failure: why
      """
    let scenario = try #require(
      try ScenarioFile(Array(text.utf8), path: "dir/x.yaml").scenarios.first)
    #expect(scenario.name == "all")
    #expect(scenario.subject == .file("dir/p"))
    #expect(scenario.machine.memory == 32 << 20)
    #expect(scenario.machine.caches == .architectural)
    #expect(scenario.environment == ["A=b"])
    #expect(scenario.files == ["/f": Array("text".utf8)])
    #expect(
      scenario.probes.map(\.definition) == ["p:a b", "p:c d", "p:e f", "p:g h", "p:i j", "p:k l"])
    #expect(scenario.probes[1].refused == "EINVAL")
    #expect(scenario.probes[2].action == .set(["a0": .max]))
    #expect(scenario.probes[3].action == .override(16))
    #expect(scenario.probes[4].action == .skip)
    #expect(scenario.probes[5].action == .redirect("m+4"))
    #expect(scenario.legacy == [.noBlacklist, .anyAddress])
    #expect(scenario.limit == 5000)
    #expect(
      scenario.stops == [
        Scenario.Stop(
          "main", nth: 2, registers: ["a0": 1], memory: [MemoryExpectation("x", [0x61, 0x62])])
      ])
    let expect = scenario.expect
    #expect(expect.exit == .signal(5))
    #expect(expect.output?.exactly == [0x61])
    #expect(expect.output?.contains == ["b"])
    #expect(expect.output?.lacks == ["c", "d"])
    #expect(expect.faultPlace == "x")
    #expect(expect.faultAddress == 16)
    #expect(expect.hits == ["a": 1, "b": Bounds(2, through: .max)])
    #expect(expect.misses == ["a": Bounds(0, through: 3)])
    #expect(expect.events == [HitExpectation("a"), HitExpectation("b", ["c": "d"], pid: 3)])
    #expect(!expect.eventsAreAll)
    #expect(expect.memory == [MemoryExpectation("x", [2, 1]), MemoryExpectation("y", [1, 255])])
    #expect(expect.counters == ["ticks": 4])
    #expect(expect.isTransparent)
    #expect(scenario.expectedFailure == "why")
  }

  /// Every key that there is has a row in the documentation, with the same words.
  @Test func documentation() throws {
    let url = Repository.folder.appendingPathComponent("Docs/scenario-files.md")
    let text = try String(contentsOf: url, encoding: .utf8)
    for mapping in ScenarioKeys.all {
      #expect(text.contains("### `\(mapping.name)`\n"), "\(mapping.name)")
      for key in mapping.keys {
        let row = "| `\(key.name)` | \(key.type) | \(key.text) |\n"
        #expect(text.contains(row), "\(row)")
      }
    }
  }
}
