import Foundation
import Testing

@testable import X86

/// GNU as, as the judge of the assembler.
struct AssembleOracleTests {
  private static let tools: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/x86_64-linux-gnu-" }
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
  private func theirs(_ text: String) throws -> [UInt8] {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "emu-as-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let (source, object, binary) = (
      folder.appending(path: "t.s"), folder.appending(path: "t.o"), folder.appending(path: "t.bin")
    )
    try Data(".intel_syntax noprefix\n\(text)\n".utf8).write(to: source)
    try run("as", ["--64", "-mnaked-reg", "-o", object.path, source.path])
    try run("objcopy", ["-O", "binary", "-j", ".text", object.path, binary.path])
    return [UInt8](try Data(contentsOf: binary))
  }

  /// Every group of the rows, and what has several encodings.
  private static let text = """
    start:
      mov eax, 5; mov rax, 5; mov rax, -1; mov rax, 0x123456789abc; mov al, 5; mov r8b, 7; mov ah, 3
      mov eax, ebx; mov rax, [rbx]; mov [rbx], rax; mov dword ptr [rsp], 5; mov byte ptr [rbp], 1
      mov qword ptr [rax + rcx*8 + 16], -1; mov ax, [r12]; mov eax, [r13]; mov rax, fs:[0x28]
      mov rax, qword ptr gs:[rbx + 8]; mov eax, [0x1000]; mov eax, [rcx*4]; mov eax, [ebx + esi*2]
      mov eax, ds; mov ds, eax; mov rax, cr3; mov cr8, rax; mov rax, dr7; mov spl, 1; mov r15d, [rip + 0x10]
      movabs rax, 0x1122334455667788; movabs al, [0x1122334455667788]; movabs [0x1122334455667788], eax
      movzx eax, byte ptr [rdi]; movzx eax, al; movzx rax, word ptr [rdi]; movsx eax, al; movsxd rax, ecx
      movsx r9, byte ptr [rsi]; lea rax, [rbx + rcx*4 - 8]; lea eax, [rsp]; lea rsi, [rip + 5]
      xchg eax, ebx; xchg rax, r8; xchg eax, eax; xchg [rbx], ecx; xchg ecx, [rbx]; xchg al, bl; bswap rax; bswap r9d
      push rax; push r12; push 5; push 0x12345; push -5; push [rax]; pop rax; pop r15; pop [rbx]; push fs; pop gs
      enter 16, 1; leave; cdqe; cqo; cwde; cdq; cbw; cwd; xlatb
      add eax, 5; add eax, 500; add al, 5; add rax, 0x12345; add ecx, 500; add qword ptr [rax], 5; add [rax], cl
      or rbx, [rcx]; adc r10, r11; sbb byte ptr [rax], 3; and ax, 0xff; sub rsp, 0x20; sub rsp, 0x200; xor eax, eax
      cmp byte ptr [rsi], 0; cmp r8w, 5; test eax, eax; test al, 5; test eax, 500; test [rax], ecx; test ecx, [rax]
      inc eax; dec qword ptr [rax]; neg cl; not r8; mul rbx; imul ecx; imul eax, ebx; imul eax, ebx, 5; imul rax, [rbx], 500
      div rcx; idiv dword ptr [rax]; xadd [rax], ecx; cmpxchg [rdi], esi; cmpxchg8b [rax]; cmpxchg16b [rax]
      lock add dword ptr [rax], 1; lock xadd [rax], rcx; lock inc byte ptr fs:[rbx]; lock cmpxchg [rdi], esi
      shl eax, 1; shl eax, 5; sar rbx, cl; shr byte ptr [rax], 3; rol cx, 2; ror r8d, cl; rcl al, 1; shld eax, ebx, 3; shrd rax, rbx, cl
      bt eax, 5; bts [rax], ecx; btr qword ptr [rax], 7; btc r8, r9; bsf eax, ebx; bsr rax, [rcx]; popcnt eax, ebx; popcnt ax, bx
      lzcnt rax, rbx; tzcnt r8d, r9d; sete al; setnz r8b; setl byte ptr [rax]; cmovz eax, ebx; cmovge r8, [r9]; crc32 eax, bl; crc32 rax, rcx
      andn eax, ebx, ecx; bextr rax, [rbx], rcx; blsr eax, ebx; bzhi eax, ebx, ecx; mulx rax, rbx, rcx; pdep r8, r9, r10
      rorx eax, ebx, 5; sarx eax, [rbx], ecx; shlx r8, r9, r10; adcx eax, ebx; adox rax, [rbx]; movbe eax, [rbx]; movbe [rbx], ax
    here:
      jmp here; je here; jnz here; jecxz here; jrcxz here; loop here; loopne here; call here; call rax; call [rax]; jmp [rax + 8]; jmp r10
      ret; ret 8; int 0x80; int3; syscall; ud2; hlt; cpuid; rdtsc; rdtscp; pause; nop; endbr64; cld; std; clc; stc; cmc; cli; sti; lahf; sahf
      rep movsb; rep stosq; repe cmpsb; repne scasb; movsd; lodsw; stosd; movsq; cmpsw; scasd; movs byte ptr [rdi], byte ptr [rsi]
      pushfq; popfq; iretq; sysretq; swapgs; rdmsr; wrmsr; invlpg [rax]; lgdt [rax]; lidt [rbx]; ltr ax; lldt cx; clts; wbinvd
      in al, dx; in eax, 0x60; out dx, al; out 0x60, eax; xgetbv; vmcall; mfence; lfence; sfence; clflush [rax]; prefetcht0 [rax]
      fxsave [rax]; fxrstor64 [rax]; rdfsbase rax; wrgsbase ecx; nop dword ptr [rax]; nop word ptr [rax + rax]
      movaps xmm0, xmm1; movups [rax], xmm9; movdqa xmm15, [r8]; movd xmm0, eax; movq xmm0, rax; movq rax, xmm0; movq xmm1, [rbx]; movd [rax], xmm1
      movss xmm0, [rax]; movsd xmm1, xmm2; movsd [rbx], xmm1; addps xmm0, xmm1; addsd xmm0, [rax]; cvtsi2sd xmm0, eax; cvtsi2sd xmm0, rax
      cvttsd2si rax, xmm0; cvtss2sd xmm0, xmm1; ucomisd xmm0, xmm1; sqrtsd xmm0, xmm1; shufps xmm0, xmm1, 0x1b; pshufd xmm0, [rax], 1
      pxor xmm0, xmm0; paddd xmm1, [rax]; psrldq xmm0, 4; pslld xmm1, 3; pinsrw xmm0, eax, 1; pextrw eax, xmm0, 2; pmovmskb eax, xmm1
      pshufb xmm0, xmm1; palignr xmm0, xmm1, 5; pblendvb xmm0, xmm1, xmm0; roundsd xmm0, xmm1, 3; ptest xmm0, xmm1; aesenc xmm0, xmm1
      pcmpistri xmm0, xmm1, 0xc; pclmulqdq xmm0, xmm1, 0x10; ldmxcsr [rax]; stmxcsr [rsp]
      vaddps ymm0, ymm1, ymm2; vaddps xmm0, xmm1, [rax]; vmovdqu ymm0, [rax]; vpxor ymm8, ymm9, ymm10; vzeroupper; vzeroall
      vbroadcastss ymm0, xmm1; vpermq ymm0, ymm1, 0x1b; vinsertf128 ymm0, ymm1, xmm2, 1; vextractf128 [rax], ymm0, 1
      vfmadd231pd ymm0, ymm1, [rax]; vpgatherdd xmm0, [rax + xmm1*4], xmm2; vgatherdpd ymm0, [rax + xmm1*8], ymm2; vblendvps xmm0, xmm1, xmm2, xmm3
      vcvtph2ps ymm0, xmm1; vpsllvd xmm0, xmm1, [r8]; vmovss xmm0, xmm1, xmm2; vmovd xmm1, eax; vpinsrq xmm0, xmm1, rax, 1
      movq mm0, [rax]; paddb mm0, mm1; emms; movd mm1, eax; pshufw mm0, mm1, 5; movq2dq xmm0, mm1; cvtpi2ps xmm0, mm1
      fld dword ptr [rax]; fld qword ptr [rax]; fld tbyte ptr [rax]; fld st(1); fadd st, st(1); fadd st(1), st; faddp st(1), st
      fstp qword ptr [rsp]; fstp st(0); fild word ptr [rax]; fistp qword ptr [rax]; fxch st(1); fcomi st, st(2); fsqrt; fsin; fldpi; fld1; fnstcw [rax]; fldcw [rax]; fnstsw ax; fninit
      .align 16
      .byte 1, -1, 0x7f; .word 0x1234; .long 5; .quad here - start; .asciz "ab\\n"; .zero 3
      .balign 8
    """

  @Test(.enabled(if: tools != nil)) func sameBytes() throws {
    let ours = try X86Assembler.assemble(Self.text, origin: 0).bytes()
    let theirs = try theirs(Self.text)
    guard ours != theirs else { return }
    // Which statement it is: each by itself, where it can be.
    for line in Self.text.split(separator: "\n") {
      for statement in line.split(separator: ";") where !statement.contains("here") {
        let text = String(statement)
        guard let one = try? X86Assembler.assemble(text, origin: 0).bytes(),
          let other = try? self.theirs(text)
        else { continue }
        #expect(one == other, "\(text)")
      }
    }
    #expect(ours == theirs)
  }
}
