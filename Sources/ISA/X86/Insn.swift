/// What an instruction does, named as the manual names it.
///
/// Instructions that differ only in operand size are one case; `jcc`, `setcc` and `cmovcc` have their
/// condition in the opcode. A trailing letter tells apart what the manual gives one name: `imul` of
/// one operand is `imul1`.
public enum Op: UInt16, CaseIterable, Sendable {
  // Data transfer.
  case mov, movzx, movsx, movsxd, movbe, lea, xchg, bswap, cmovcc, push, pop, enter, leave
  case cbw, cwd, xlat, mov_from_seg
  // Arithmetic and logic.
  case add, or, adc, sbb, and, sub, xor, cmp, test, inc, dec, neg, not
  case mul, imul1, imul, div, idiv, xadd, cmpxchg, cmpxchg8b, cmpxchg16b, adcx, adox
  // Shifts and bits.
  case rol, ror, rcl, rcr, shl, shr, sar, shld, shrd
  case bt, bts, btr, btc, bsf, bsr, popcnt, lzcnt, tzcnt, setcc, crc32
  case andn, bextr, blsi, blsmsk, blsr, bzhi, mulx, pdep, pext, rorx, sarx, shlx, shrx
  // Control.
  case jmp, jcc, jrcxz, loop, loope, loopne, call, ret, int3, int, int1, syscall, ud
  // Strings.
  case movs, cmps, stos, lods, scas
  // Flags.
  case clc, stc, cmc, cld, std, lahf, sahf, pushf, popf
  // The rest.
  case nop, prefetch, clflush, fence, cpuid, rdtsc, rdtscp, rdpid, xgetbv
  case rdfsbase, rdgsbase, wrfsbase, wrgsbase
  // Vectors.
  case addps, addpd, addss, addsd, mulps, mulpd, mulss, mulsd, subps, subpd, subss, subsd, minps
  case minpd, minss, minsd, divps, divpd, divss, divsd, maxps, maxpd, maxss, maxsd, sqrtps
  case sqrtpd, sqrtss, sqrtsd, pand, pandn, por, pxor, cmpps, cmppd, cmpss, cmpsd, ucomiss
  case ucomisd, comiss, comisd, punpckldq, punpcklqdq, punpckhdq, punpckhqdq, shufps, shufpd
  case cvtsi2ss, cvtsi2sd, cvttss2si, cvttsd2si, cvtss2si, cvtsd2si, cvtss2sd, cvtsd2ss
  case cvtps2pd, cvtpd2ps, cvttpd2dq, cvtpd2dq, cvtdq2pd, cvtdq2ps, cvtps2dq, cvttps2dq
  case addsubpd, addsubps, haddpd, haddps, hsubpd, hsubps, roundps, roundpd, roundss, roundsd
  case dpps, dppd, movups, movaps, mov_ss, mov_sd, movl, movh, movhlps, movlhps, movddup
  case movsldup, movshdup, movd_to, movd_from, movq_load, movmskps, movmskpd, pmovmskb, extrw
  case extr, insrw, insr, extrb, insertps, ldmxcsr, stmxcsr, punpcklbw, punpcklwd, packsswb
  case pcmpgtb, pcmpgtw, pcmpgtd, packuswb, punpckhbw, punpckhwd, packssdw, pcmpeqb, pcmpeqw
  case pcmpeqd, psrlw, psrld, psrlq, paddq, pmullw, psubusb, psubusw, pminub, paddusb, paddusw
  case pmaxub, pavgb, psraw, psrad, pavgw, pmulhuw, pmulhw, psubsb, psubsw, pminsw, paddsb
  case paddsw, pmaxsw, psllw, pslld, psllq, pmuludq, pmaddwd, psadbw, psubb, psubw, psubd, psubq
  case paddb, paddw, paddd, psrlw_i, psraw_i, psllw_i, psrld_i, psrad_i, pslld_i, psrlq_i
  case psrldq_i, psllq_i, pslldq_i, pshufd, pshufhw, pshuflw, pshufb, phaddw, phaddd, phaddsw
  case pmaddubsw, phsubw, phsubd, phsubsw, psignb, psignw, psignd, pmulhrsw, pabsb, pabsw, pabsd
  case palignr, pmuldq, pcmpeqq, packusdw, pminsb, pminsd, pminuw, pminud, pmaxsb, pmaxsd
  case pmaxuw, pmaxud, pmulld, pcmpgtq, phminposuw, pmovsxbw, pmovzxbw, pmovsxbd, pmovzxbd
  case pmovsxbq, pmovzxbq, pmovsxwd, pmovzxwd, pmovsxwq, pmovzxwq, pmovsxdq, pmovzxdq, pblendvb
  case blendvps, blendvpd, blendps, blendpd, pblendw, mpsadbw, ptest, pcmpestrm, pcmpestri
  case sha1rnds4, sha1nexte, sha1msg1, sha1msg2, sha256rnds2, sha256msg1, sha256msg2
  case pcmpistrm, pcmpistri, aesenc, aesenclast, aesdec, aesdeclast, aesimc, aeskeygenassist
  case pclmulqdq
  case maskmov, rcpps, rcpss, rsqrtps, rsqrtss
  case vzero, broadcastb, broadcastw, broadcastd, broadcastq, broadcastdq, perm2f128, insertf128
  case extractf128, maskmovd, maskmovqq, permilps, permilps_i, permilpd, permilpd_i, permd, permq
  case testps, testpd, sllv, sllvq, srlv, srlvq, srav, cvtph2ps, cvtps2ph, gather
  case fmaddp, fmadds, fmsubp, fmsubs, fnmaddp, fnmadds, fnmsubp, fnmsubs, fmaddsubp, fmsubaddp
  case fxsave, fxrstor, xsave, xsaveopt, xrstor
  // MMX.
  case emms, movq2dq, movdq2q, cvtpi2ps, cvtpi2pd, cvtps2pi, cvttps2pi, cvtpd2pi, cvttpd2pi
  // x87.
  case fadd, fmul, fsub, fsubr, fdiv, fdivr, fcom, fcomp, fcompp, fucom, fucomp, fucompp, fcomi
  case fcomip, fucomi, fucomip, ftst, fxam, fld, fild, fbld, fldconst, fst, fstp, fist, fistp
  case fisttp, fbstp, fxch, fcmov, fchs, fabs, fsqrt, frndint, fscale, fprem, fprem1, fxtract
  case f2xm1, fyl2x, fyl2xp1, fptan, fpatan, fsin, fcos, fsincos, ffree, ffreep, fincstp, fdecstp
  case fnop, fldcw, fnstcw, fnstsw, fldenv, fnstenv, fnsave, frstor, fnclex, fninit, fnop8087, fwait
  // System.
  case hlt, clts, invd, wbinvd, rdmsr, wrmsr, rdpmc, swapgs, invlpg, invpcid, cli, sti
  case `in`, out, ins, outs, lgdt, lidt, sgdt, sidt, smsw, lmsw, lldt, ltr, sldt, str
  case verr, verw, lar, lsl, mov_from_cr, mov_to_cr, mov_from_dr, mov_to_dr, mov_to_seg
  case push_seg, pop_seg, load_far, jmp_far, call_far, ret_far, iret, sysret, vmcall, clac, stac
  case xsetbv, rdrand
  // 32-bit code only.
  case pusha, popa, bound, arpl, into, decimal
}

/// What was found in front of an opcode.
public struct Prefixes: OptionSet, Sendable {
  /// One bit each.
  public let rawValue: UInt16
  /// Makes a set from its bits.
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// F0.
  public static let lock = Prefixes(rawValue: 1 << 0)
  /// F3, if no F2 came later.
  public static let rep = Prefixes(rawValue: 1 << 1)
  /// F2, if no F3 came later.
  public static let repne = Prefixes(rawValue: 1 << 2)
  /// 66.
  public static let operandSize = Prefixes(rawValue: 1 << 3)
  /// The address has 32 bits: by 67, or as always in 32-bit code.
  public static let addressSize = Prefixes(rawValue: 1 << 4)
  /// 64.
  public static let fs = Prefixes(rawValue: 1 << 5)
  /// 65.
  public static let gs = Prefixes(rawValue: 1 << 6)
  /// 40 to 4F, right in front of the opcode.
  public static let rex = Prefixes(rawValue: 1 << 7)
  /// REX.W or VEX.W.
  public static let wide = Prefixes(rawValue: 1 << 8)
  /// C4 or C5.
  public static let vex = Prefixes(rawValue: 1 << 9)
  /// VEX.L.
  public static let vex256 = Prefixes(rawValue: 1 << 10)
  /// The address has 16 bits: in 32-bit code by 67, in 16-bit code without.
  static let narrow = Prefixes(rawValue: 1 << 11)
  /// In 16- and 32-bit code: 26, 2E, 36, 3E.
  static let es = Prefixes(rawValue: 1 << 12)
  static let cs = Prefixes(rawValue: 1 << 13)
  static let ss = Prefixes(rawValue: 1 << 14)
  static let ds = Prefixes(rawValue: 1 << 15)
  static let segments: Prefixes = [.es, .cs, .ss, .ds, .fs, .gs]
}

/// One decoded instruction.
///
/// - SeeAlso: Intel SDM volume 2, 'Instruction Format'.
public struct Insn: Sendable {
  /// What it does.
  public var op: Op = .ud
  /// Index of its row in ``Encodings/allRows``.
  public var row: UInt16 = 0
  /// Bytes.
  public var length: UInt8 = 0
  /// Effective operand size in bytes: 2, 4 or 8.
  public var size: UInt8 = 4
  /// Its prefixes.
  public var prefixes: Prefixes = []
  /// The last byte of the opcode.
  public var opcode: UInt8 = 0
  /// Whether `rm` names a register; false too where there is no ModRM byte.
  public var rmIsRegister = false
  /// Whether there is a memory operand by ModRM.
  public var hasMemory = false
  /// The ModRM byte.
  public var modRM: UInt8 = 0
  /// ModRM.reg with its REX bit.
  public var reg: UInt8 = 0
  /// ModRM.rm with its REX bit.
  public var rm: UInt8 = 0
  /// The register in the opcode's low three bits, with its REX bit.
  public var opcodeRegister: UInt8 = 0
  /// VEX.vvvv.
  public var vvvv: UInt8 = 0
  /// Base register of the address, ``none`` or ``rip``.
  public var base: UInt8 = none
  /// Index register of the address or ``none``.
  public var index: UInt8 = none
  /// What the index is shifted by.
  public var scale: UInt8 = 0
  /// Where the displacement stands in the bytes, and its size.
  public var dispOffset: UInt8 = 0, dispSize: UInt8 = 0
  /// Where the immediate stands.
  public var immOffset: UInt8 = 0
  /// Displacement, or the address of a `moffs` operand.
  public var disp: Int64 = 0
  /// The immediate, extended as the row says; the relative branch's displacement.
  public var imm: Int64 = 0
  /// The second immediate (`enter`).
  public var imm2: UInt8 = 0

  /// No register.
  public static let none: UInt8 = 0xff
  /// The address is relative to the next instruction.
  public static let rip: UInt8 = 0xfe

  /// An instruction to be filled in.
  public init() {}

  /// The condition in the opcode of `jcc`, `setcc` and `cmovcc`.
  public var condition: UInt8 { opcode & 15 }
}
