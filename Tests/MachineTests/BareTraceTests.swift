import Foundation
import Testing

@testable import Machine

/// Traces of PC images, whose code is of 16, 32 and 64 bits.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct BareTraceTests {
  /// A trace is the text of each instruction in the hart's mode at it, from a run as from a file of blocks.
  @Test(
    arguments: [
      (
        "protected", 1,
        ["arpl ax, bx", "aam 0xa", "pusha", "les ebx, [0x", "iretd", "inc ecx", "ebx, [bx + si]"],
        ["rsp", "rip", "r8"]
      ),
      ("multiboot64", 1, ["mov esp, 0x", "rol rax, 8", "retfq", "mov ds, ax"], []),
      (
        "processors", 4,
        ["cli", "mov ax, 0x1234", "add word ptr [bp + 2], 2", "lcall dword ptr [0x142]", "iret"], []
      ),
    ] as [(String, Int, [String], [String])])
  func textsAreOfTheMode(
    _ name: String, harts: Int, texts: [String], others: [String]
  ) throws {
    let scratch = try Scratch()
    let trace = "\(scratch.path)/run.emutrace", blocks = "\(scratch.path)/blocks"
    let image = Images.path("bare/x86_64/\(name).elf")
    let limits = ["--harts", "\(harts)", "--max-insns", "12000"]
    let recorded = try Child(["record", "-o", trace, "--bare"] + limits + [image]).finish()
    #expect(!recorded.wasKilled)
    let lines = try InsnTraceTests.lines(["trace", trace]).filter { !$0.hasPrefix("<") }
    let written = try Child(["trace", trace, "--format", "blocks", "-o", blocks]).finish()
    #expect(written.errors == "" && written.status == 0)
    let listed = try InsnTraceTests.lines(["trace", blocks])
    for text in texts { #expect(listed.contains { $0.contains(text) }, "\(text)") }
    for text in others + [".byte"] { #expect(!listed.contains { $0.contains(text) }, "\(text)") }
    func isStarted(_ line: Substring) -> Bool { !line.contains(" 0000000000000000 ") }
    // Each hart's, from the address on: a file of blocks has the harts one behind another.
    func insns(_ lines: [Substring]) -> [Substring: [String]] {
      var found: [Substring: [String]] = [:]
      for line in lines {
        let words = line.split(separator: " ")
        let isNumbered = words[1].hasPrefix("#")
        found[isNumbered ? words[1] : "#0", default: []].append(
          words[(isNumbered ? 3 : 2)...].joined(separator: " "))
      }
      return found
    }
    // A processor that waits to be started is at no instruction.
    let (fromRun, fromBlocks) = (insns(lines.filter(isStarted)), insns(listed.filter(isStarted)))
    #expect(fromRun.count == fromBlocks.count && (fromRun.count > 1) == (harts > 1))
    for (hart, insns) in fromRun {
      let other = fromBlocks[hart] ?? []
      #expect(insns.count == other.count, "\(hart)")
      // What follows in the trace of the run is what it did.
      let differ = zip(insns, other).first { !$0.hasPrefix($1) }
      #expect(differ == nil, "\(hart): \(differ.map { "\($0)" } ?? "")")
    }
  }
}
