import Engine
import Machine
import Testing

@Suite struct SelfTestTests {
  @Test(
    "every test of emu selftest passes", arguments: [CacheModel.coherent, .architectural],
    ProgramArchitecture.allCases)
  func all(caches: CacheModel, guest: ProgramArchitecture) {
    var lines: [String] = []
    #expect(
      SelfTest.run(on: guest, caches: caches) { lines.append($0) } == 0,
      "\(lines.joined(separator: "\n"))")
    #expect(lines.first == "KTAP version 1")
    #expect(!lines.contains { $0.contains("not ok") })
    #expect(lines.filter { $0.hasPrefix("    ok ") }.count == SelfTest.names.count)
  }

  @Test("a filter chooses by name; one that fits none is said to")
  func filter() {
    var lines: [String] = []
    #expect(SelfTest.run(matching: "uretprobes.depth") { lines.append($0) } == 0)
    #expect(lines.filter { $0.hasPrefix("    ok ") }.count == 1)
    #expect(SelfTest.run(matching: "no such test") { lines.append($0) } == nil)
  }
}
