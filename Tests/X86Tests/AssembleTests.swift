import Assembly
import Testing

@testable import X86

/// Text to bytes.
struct AssembleTests {
  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let mixed = (state ^ (state >> 33)) &* 0xff51_afd7_ed55_8ccd
      return mixed ^ (mixed >> 33)
    }
  }

  private static let origin: UInt64 = 0x10000

  private func bytes(_ text: String) throws -> [UInt8] {
    try X86Assembler.assemble(text, origin: Self.origin).bytes()
  }

  /// What the disassembler prints assembles to the same instruction, in no more bytes.
  ///
  /// Prefixes that no text shows are left out of the samples; three texts do not say all there is.
  @Test func roundTrip() throws {
    var rng = Generator(state: 21)
    for (number, row) in Encodings.allRows.enumerated() {
      var seen = 0
      for _ in 0..<40 where seen < 3 {
        let sample = row.sample(using: &rng, allPrefixes: false)
        guard case .insn(let insn) = Decoder.decode(sample), Int(insn.length) == sample.count
        else { continue }
        let text = Disassembler.text(insn, pc: Self.origin)
        // A segment register that there is not; a 16-bit push, an address of 32 bits.
        if text.contains("?") || isSilent(insn, row) { continue }
        seen += 1
        let made: [UInt8]
        do {
          made = try bytes(text)
        } catch {
          Issue.record("\(row.pattern) : \(row.operandText): '\(text)': \(error)")
          continue
        }
        guard case .insn(let again) = Decoder.decode(made) else {
          Issue.record("'\(text)' became bytes that do not decode")
          continue
        }
        #expect(Disassembler.text(again, pc: Self.origin) == text)
        #expect(made.count <= sample.count, "'\(text)'")
      }
      #expect(seen > 0, "row \(number): \(row.pattern) : \(row.operandText)")
    }
  }

  /// Whether the text leaves out a prefix that makes a difference, or that makes it longer.
  private func isSilent(_ insn: Insn, _ row: Row) -> Bool {
    if row.operands.contains(where: { $0.place == .relative }) {
      return insn.prefixes.contains(.rex) || !insn.prefixes.isDisjoint(with: [.fs, .gs])
        || insn.prefixes.contains(.addressSize)
    }
    if row.operands.contains(where: { $0.place == .offset }) {
      return insn.prefixes.contains(.addressSize)
    }
    return insn.op == .push && insn.size == 2 && row.operands.first?.place == .immediate
  }

  @Test(arguments: [
    ("frob eax", "1:1: unknown instruction 'frob'"),
    ("mov eax", "1:1: 'mov' has no form with these operands"),
    ("mov eax, bl", "1:1: 'mov' has no form with these operands"),
    ("mov [rax], 5", "1:5: 'byte ptr', 'dword ptr' or the like is missing: the size of this"),
    ("mov [rax], [rbx]", "1:1: 'mov' has no form with these operands"),
    ("mov ah, r8b", "1:1: 'mov' has no form with these operands"),
    ("mov eax, 0x100000000", "1:1: 4294967296 does not fit into 32 bits"),
    ("add rax, 0x80000000", "1:1: 2147483648 does not fit into 32 bits"),
    ("mov eax, [rax + rbx + rcx]", "1:23: an address has a base and an index at most"),
    ("mov eax, [rax*3]", "1:11: a scale is 1, 2, 4 or 8"),
    ("mov eax, [rsp*2]", "1:1: 'mov' has no form with these operands"),
    ("mov eax, [rax + ebx]", "1:1: 'mov' has no form with these operands"),
    ("mov eax, [rax", "1:12: ']' is missing at the end"),
    ("mov eax, []", "1:10: an address is missing"),
    ("mov eax, ds:[rax]", "1:10: only fs and gs have a base"),
    ("mov eax, [rax - rbx]", "1:17: the register 'rbx' can't stand here"),
    ("mov eax, [rax + 0x80000000]", "1:10: the displacement 2147483648 does not fit into 32 bits"),
    ("mov eax, nowhere", "1:10: there is no symbol 'nowhere'"),
    ("lock add eax, 5", "1:6: 'add' has no form with these operands"),
    ("rep add eax, 5", "1:5: 'add' has no form with these operands"),
    ("lock", "1:1: an instruction is missing behind 'lock'"),
    ("fld st(8)", "1:5: st(0) to st(7) are there"),
    ("jrcxz . + 200", "1:1: the target is 198 bytes away: too far"),
    (".intel_syntax prefix", "1:15: registers have no prefix: 'noprefix'"),
    (".att_syntax", "1:1: unknown directive '.att_syntax'"),
  ])
  func errors(text: String, message: String) {
    let error = #expect(throws: AssemblyError.self) { try X86Assembler.assemble(text) }
    #expect(error?.description == message)
  }

  /// Branches grow; symbols behind `rip` are meant themselves; directives are those of x86.
  @Test func layout() throws {
    let image = try X86Assembler.assemble(
      """
      .intel_syntax noprefix
      _start: jmp far
              je _start
              lea rsi, [rip + text]
              mov rax, text[rip + 1]
              mov edi, offset text
              mov esi, end - text
              add ecx, n
              .zero 200
      far:    ret
              .align 16
      next:   .word 1
              .data
      text:   .asciz "abc"
      end:
              .equ n, 4
      """, origin: 0x10000)
    let text = try #require(image.value(of: "text"))
    let far = try #require(image.value(of: "far"))
    #expect(image.elfMachine == 62)
    #expect(far == 0x10000 + 5 + 2 + 7 + 7 + 5 + 5 + 3 + 200)
    #expect(image.value(of: "next") == (far + 16) & ~15)
    let bytes = image.bytes()
    func word(_ at: Int) -> UInt64 {
      (0..<4).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
    }
    #expect(bytes[0] == 0xe9 && word(1) == far - 0x10005)
    #expect(bytes[5...6] == [0x74, 0xf9])
    #expect(Array(bytes[7...9]) == [0x48, 0x8d, 0x35] && word(10) == text - 0x1000e)
    #expect(word(17) == text + 1 - 0x10015)
    #expect(bytes[21] == 0xbf && word(22) == text)
    #expect(bytes[26] == 0xbe && word(27) == 4)
    #expect(Array(bytes[31...33]) == [0x83, 0xc1, 4])
    #expect(0x10000 + UInt64(bytes.count) == (far + 16) & ~15 + 2)
  }

  /// Fillers are instructions, of any length.
  @Test func filler() {
    for count in 0..<40 {
      let bytes = X86Assembler().filler(count)
      #expect(bytes.count == count)
      var at = 0
      while at < count {
        guard case .insn(let insn) = Decoder.decode(Array(bytes[at...])), insn.op == .nop else {
          Issue.record("filler of \(count)")
          return
        }
        at += Int(insn.length)
      }
    }
  }
}
