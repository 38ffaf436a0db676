import Foundation
import Testing

@testable import RISCV

/// GNU as, as the judge of the assembler.
struct AssembleOracleTests {
  private static let tools: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/riscv64-linux-gnu-" }
      .first { FileManager.default.isExecutableFile(atPath: $0 + "as") }
  }()

  private func run(_ tool: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(filePath: try #require(Self.tools) + tool)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(tool)")
  }

  /// The bytes of `.text`; nothing is left to the linker.
  private func theirs(_ text: String, compressed: Bool) throws -> [UInt8] {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "emu-as-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let (source, object, binary) = (
      folder.appending(path: "t.s"), folder.appending(path: "t.o"), folder.appending(path: "t.bin")
    )
    try Data(".option norelax\n\(text)\n".utf8).write(to: source)
    let isa = "rv64ima\(compressed ? "fdc" : "fd")_zicsr_zifencei_zba_zbb_zbs"
    try run("as", ["-march=\(isa)", "-o", object.path, source.path])
    try run("objcopy", ["-O", "binary", "-j", ".text", object.path, binary.path])
    return [UInt8](try Data(contentsOf: binary))
  }

  /// Aliases, compression, sizes of branches, alignment.
  private static let text = """
    start:
      li a0, 0; li a1, -1; li a2, 2047; li a3, 2048; li a4, -2048; li a5, 0x12345678
      li a6, 0x7fffffff; li a7, -0x80000000; li t0, 0x100000000; li t1, 0x123456789abcdef0
      li t2, 31; li t3, 32; li t4, -32; li t5, -33; li t6, 0x1f000
      mv a0, a1; mv s0, sp; add a0, a0, a1; add a0, a1, a0; add a0, a1, a2
      addi a0, a0, 1; addi a0, a0, 0; addi sp, sp, -16; addi sp, sp, -64; addi sp, sp, 496
      addi a0, sp, 16; addi s0, sp, 1020; addi t0, sp, 16; addi a0, a1, 0
      addiw a0, a0, 3; addiw a0, a1, 3; sext.w a0, a0; sext.w a0, a1
      sub a0, a0, a1; sub a0, a1, a0; and a0, a0, a1; and a0, a1, a0; or s1, s1, a5
      xor a0, a0, a1; subw a0, a0, a1; addw a0, a0, a1; addw a0, a1, a0; andi a0, a0, 15
      not a0, a1; neg a0, a1; negw a0, a1; seqz a0, a1; snez a0, a1; sltz a0, a1; sgtz a0, a1
      slli a0, a0, 3; slli a0, a1, 3; srli a0, a0, 63; srai a0, a0, 1; srli t0, t0, 1
      slli t0, t0, 1; lui a0, 1; lui a0, 0x1f; lui a0, 0x20; lui a0, 0xfffff; lui sp, 1
      lw a0, 0(a1); lw a0, 124(a1); lw a0, 128(a1); lw t0, 4(sp); lw t0, 252(sp); lw t0, 4(a0)
      ld a0, (a1); ld a0, 248(a1); ld ra, 8(sp); sd ra, 8(sp); sd a0, 0(a1); sw a0, 4(a1)
      sw a0, 252(sp); sw t0, 0(a0); fld fa0, 8(a0); fld ft0, 8(sp); fsd fa0, 8(a0)
      fsd fs3, 504(sp); flw fa0, 4(a0); lbu a0, -1(a1); sb zero, 0(t0); lwu a0, 3(a0)
    near:
      beqz a0, near; bnez s1, near; beq a0, zero, near; beqz t0, near; bltz a0, near
      bgt a0, a1, near; bleu a0, a1, far; blez a0, near; bgtz a1, near; j near; j far
      jal near; jal t0, near; jr a0; jr 4(a0); jalr a0; jalr t0, a0; jalr t0, 8(a0); ret
      call near; tail near
      ebreak; ecall; nop; wfi; mret; sret; sfence.vma; sfence.vma a0; sfence.vma a0, a1
      fence; fence.i; fence rw, w; fence.tso; csrr a0, mstatus; csrw mtvec, a0; csrwi fcsr, 1
      csrrw a0, 0x300, a1; csrsi mstatus, 8; csrw mstatus, 3; frcsr a0; fscsr a0; frm: frrm a0
      fsflagsi a0, 3; rdcycle a0; rdtime a1; rdinstret a2
      lr.w a0, (a1); sc.d.rl a0, a1, (a2); amoadd.w.aqrl a0, a1, (a2); amoswap.d a0, a1, 0(a2)
      fadd.s fa0, fa1, fa2; fadd.d fa0, fa1, fa2, rtz; fmadd.d fa0, fa1, fa2, fa3
      fcvt.w.d a0, fa0, rtz; fcvt.d.w fa0, a0; fcvt.s.d fa0, fa1; fcvt.l.s a0, fa0
      fmv.d fa0, fa1; fneg.s fa0, fa1; fabs.d fa0, fa1; fmv.x.d a0, fa0; fsqrt.d fa0, fa1
      feq.d a0, fa0, fa1; fclass.s a0, fa0
      mul a0, a1, a2; remuw a0, a1, a2; add.uw a0, a1, a2; zext.w a0, a1; sh2add a0, a1, a2
      slli.uw a0, a1, 3; clz a0, a1; andn a0, a1, a2; rori a0, a1, 7; rev8 a0, a1; bexti a0, a1, 5
      sext.b a0, a1; zext.h a0, a1; orc.b a0, a1; max a0, a1, a2; zext.b a0, a1
      add a0, a1, 5; and a0, a0, 7; sll a0, a0, 2; sgt a0, a1, a2; bset a0, a1, 4
      auipc a0, 0; lui a0, %hi(0x12345fff); addi a0, a0, %lo(0x12345fff)
      .balign 16
      .word 1, 2, 'a', 7, 1 + 2 * 3, 1 << 4 | 3, ~0, -5
      .byte 1, 0x7f, -1; .half 0x1234; .asciz "ab\\n"; .zero 3
    far:
      c.addi a0, 1; c.li a0, 5; c.lwsp a0, 4(sp); c.addi16sp sp, 32; c.addi4spn a0, sp, 8
      c.mv a0, a1; c.jr ra; c.ebreak; c.nop; c.beqz a0, far; c.slli a0, 4; c.sub a0, a1
      c.lui a0, 3; c.ld a0, 8(a1); c.sdsp ra, 8(sp); c.andi a0, -1; c.srai a0, 3; c.jalr a0
    """

  @Test(.enabled(if: AssembleOracleTests.tools != nil), arguments: [true, false])
  func sameAsGNU(compressed: Bool) throws {
    var text = Self.text
    // Without a linker, as leaves calls to be filled in.
    text = text.replacing("call near; tail near", with: "jal ra, near; j near")
    if !compressed {
      text = String(text[..<(try #require(text.range(of: "far:")).upperBound)])
    }
    let made = try RISCVAssembler.assemble(text, compressed: compressed, origin: 0).bytes()
    // Sections end with a multiple of 16 bytes there.
    let wanted = Array(try theirs(text, compressed: compressed).prefix(made.count))
    if made == wanted { return }
    let at = zip(made, wanted).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    let place = (at ?? min(made.count, wanted.count)) & ~1
    func shown(_ bytes: [UInt8]) -> String {
      bytes.dropFirst(place).prefix(8).map { String($0, radix: 16) }.joined(separator: " ")
    }
    let what = "\(made.count) and \(wanted.count) bytes, first difference at \(place)"
    Issue.record("\(what): \(shown(made)), theirs \(shown(wanted))")
  }
}
