import Testing

@testable import X86

/// The text of 16- and 32-bit code, as traces show it.
@Suite struct LegacyTextTests {
  /// - SeeAlso: Intel SDM volume 2, '32-Bit Addressing Forms with the ModR/M Byte' and '16-Bit
  ///   Addressing Forms with the ModR/M Byte'.
  @Test(
    arguments: [
      // The same bytes as 64-, 32- and 16-bit code.
      (
        [0x8b, 0x07], "mov eax, dword ptr [rdi]", "mov eax, dword ptr [edi]",
        "mov ax, word ptr [bx]"
      ),
      ([0x40, 0x90], "nop", "inc eax", "inc ax"),
      ([0x50], "push rax", "push eax", "push ax"),
      ([0x66, 0x50], "push ax", "push ax", "push eax"),
      (
        [0x8b, 0x46, 0x10], "mov eax, dword ptr [rsi + 0x10]", "mov eax, dword ptr [esi + 0x10]",
        "mov ax, word ptr [bp + 0x10]"
      ),
      (
        [0x67, 0x8b, 0x40, 0xfe], "mov eax, dword ptr [eax - 2]",
        "mov eax, dword ptr [bx + si - 2]", "mov ax, word ptr [eax - 2]"
      ),
      (
        [0xa1, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0], "movabs eax, dword ptr [0xfffffffe]",
        "mov eax, dword ptr [0xfffffffe]", "mov ax, word ptr [0xfffe]"
      ),
      (
        [0x8b, 0x04, 0x25, 0xfe, 0xff, 0xff, 0xff], "mov eax, dword ptr [0xfffffffffffffffe]",
        "mov eax, dword ptr [0xfffffffe]", "mov ax, word ptr [si]"
      ),
      ([0xeb, 0xfc], "jmp 0xfffffffffffffffe", "jmp 0xfffffffe", "jmp 0xfffffffe"),
      (
        [0x26, 0xa5], "movsd dword ptr [rdi], dword ptr [rsi]",
        "movsd dword ptr [edi], dword ptr es:[esi]", "movsw word ptr [di], word ptr es:[si]"
      ),
      ([0xe3, 0], "jrcxz 2", "jecxz 2", "jcxz 2"),
      ([0x0f, 0x20, 0xc0], "mov rax, cr0", "mov eax, cr0", "mov eax, cr0"),
      (
        [0x36, 0x89, 0x0f], "mov dword ptr [rdi], ecx", "mov dword ptr ss:[edi], ecx",
        "mov word ptr ss:[bx], cx"
      ),
    ] as [([UInt8], String, String, String)])
  func asEachKind(bytes: [UInt8], wide: String, legacy: String, narrow: String) throws {
    for (code, expected) in [(CodeSize.wide, wide), (.legacy, legacy), (.narrow, narrow)] {
      guard case .insn(let insn) = Decoder.decode(bytes, code: code) else {
        Issue.record("\(bytes) is nothing")
        continue
      }
      #expect(Disassembler.text(insn, pc: 0, code: code) == expected)
    }
  }
}
