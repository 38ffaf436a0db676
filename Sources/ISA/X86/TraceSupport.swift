import Engine

/// What instruction traces must know of x86-64.
///
/// Registers of more than 64 bits are shown word by word, the lowest first: `xmm0`, `xmm0.1`, and
/// `ymm0.2`, `ymm0.3` for the upper half; x87 registers by their physical number, as the manual's
/// R0 to R7: `fpr0` is the significand, `fpr0.1` sign and exponent.
public final class X86TraceISA: TraceISA {
  private let features: FeatureSet

  /// Facts of a processor with these features.
  public init(features: FeatureSet = .announced) { self.features = features }

  /// `x86_64`.
  public let name = "x86_64"
  /// General registers and flags, bases, vector and x87 registers, then what of the system state an
  /// instruction or an event changes.
  public let registers: [StateSlot] = X86TraceISA.program + X86TraceISA.system

  /// What a program sees.
  public static let program: [StateSlot] =
    (0..<16).map { StateSlot(Registers.names64[$0], slot: Registers.gpr + $0) }
    + [
      StateSlot("rflags", slot: Registers.otherFlags),
      StateSlot("fs_base", slot: Registers.fsBase), StateSlot("gs_base", slot: Registers.gsBase),
    ]
    + (0..<16).flatMap { number in
      ["xmm\(number)", "xmm\(number).1", "ymm\(number).2", "ymm\(number).3"].enumerated().map {
        StateSlot($0.element, slot: Registers.vector + 4 * number + $0.offset)
      }
    }
    + [
      StateSlot("mxcsr", slot: Registers.mxcsr), StateSlot("fcw", slot: Registers.fpControl),
      StateSlot("fsw", slot: Registers.fpStatus), StateSlot("ftw", slot: Registers.fpTag),
    ]
    + (0..<8).flatMap { number in
      ["fpr\(number)", "fpr\(number).1"].enumerated().map {
        StateSlot($0.element, slot: Registers.x87 + 2 * number + $0.offset)
      }
    }

  private static let system: [StateSlot] =
    ["es", "cs", "ss", "ds", "fs", "gs"].enumerated().map {
      StateSlot($0.element, slot: SystemSlot.selectors + $0.offset)
    }
    + [
      ("cr0", SystemSlot.cr0), ("cr2", SystemSlot.faultAddress), ("cr3", SystemSlot.cr3),
      ("cr4", SystemSlot.cr4), ("xcr0", SystemSlot.xcr0), ("efer", SystemSlot.efer),
      ("star", SystemSlot.star), ("lstar", SystemSlot.lstar), ("fmask", SystemSlot.flagMask),
      ("kernel_gs_base", SystemSlot.kernelGSBase), ("tsc_deadline", SystemSlot.deadline),
      ("dr0", SystemSlot.debug), ("dr1", SystemSlot.debug + 1), ("dr2", SystemSlot.debug + 2),
      ("dr3", SystemSlot.debug + 3), ("dr6", SystemSlot.debugStatus),
      ("dr7", SystemSlot.debugControl),
    ].map { StateSlot($0.0, slot: $0.1) }

  /// RFLAGS is put together from what the hart keeps of it; everything else is the slot.
  public func value(_ slot: Int, _ hart: Hart) -> UInt64 {
    slot == Registers.otherFlags ? RFlags.read(hart.x) : hart.x[slot]
  }

  /// Sets RFLAGS as a whole, or a slot.
  public func setValue(_ slot: Int, _ value: UInt64, _ hart: Hart) {
    if slot == Registers.otherFlags {
      RFlags.write(hart.x, value)
    } else {
      hart.x[slot] = value
    }
  }

  /// The current privilege level.
  public func mode(_ hart: Hart) -> (letter: Character, number: Int) {
    let privilege = Int(hart.x[SystemSlot.privilege] & 3)
    return (["0", "1", "2", "3"][privilege], privilege)
  }

  /// Level 3's.
  public var userModes: UInt64 { X64.userModes }
  /// Fifteen.
  public var maxInsnLength: Int { 15 }
  /// RSP.
  public var stackPointer: Int { Registers.slot(4) }

  /// As many bytes as the decoder takes: a page behind the instruction is not touched.
  public func insnBytes(at pc: UInt64, _ hart: Hart) -> [UInt8] {
    let code = X64.codeSize(hart.x)
    var bytes: [UInt8] = []
    while bytes.count < maxInsnLength {
      let at = pc &+ UInt64(bytes.count)
      // Two bytes of an even address are never of two pages.
      bytes.append(UInt8(truncatingIfNeeded: hart.insnHalf(at & ~1) >> (at & 1 == 1 ? 8 : 0)))
      guard case .truncated = decode(bytes, code) else { break }
    }
    return bytes
  }

  private func decode(_ bytes: [UInt8], _ code: CodeSize = .wide) -> Decoded {
    Decoder.decode(bytes, features: features, code: code)
  }

  /// The register of the first operand, where the instruction writes it whole or in part.
  public func written(_ bytes: [UInt8], code: CodeKind) -> [Int] {
    guard case .insn(let insn) = decode(bytes, CodeSize(rawValue: code) ?? .wide),
      !Self.onlyRead.contains(insn.op), let first = Encodings.row(insn).operands.first
    else { return [] }
    return slots(first, insn)
  }

  /// `syscall`, and the ways of 32-bit programs.
  ///
  /// - SeeAlso: Linux, `arch/x86/entry`.
  public func isSystemCall(_ bytes: [UInt8]) -> Bool {
    op(bytes) == .syscall || bytes == [0xcd, 0x80] || bytes.starts(with: [0x0f, 0x34])
  }

  /// The registers of all operands, and those of addresses.
  public func read(_ bytes: [UInt8]) -> [Int] {
    guard case .insn(let insn) = decode(bytes) else { return [] }
    var found: [Int] = []
    for operand in Encodings.allRows[Int(insn.row)].operands { found += slots(operand, insn) }
    for number in [insn.base, insn.index] where number < 16 { found.append(Registers.slot(number)) }
    return found
  }

  /// Where a register operand is.
  private func slots(_ operand: Operand, _ insn: Insn) -> [Int] {
    let size = operand.type.bytes(insn)
    // Without REX, bytes 4 to 7 are the high ones of the first four registers.
    func general(_ number: UInt8) -> [Int] {
      let high = size == 1 && !insn.prefixes.contains(.rex) && (4..<8).contains(number)
      return [Registers.slot(high ? number - 4 : number)]
    }
    func vector(_ number: UInt8) -> [Int] {
      let first = Registers.vector + 4 * Int(number & 15)
      return Array(first..<first + (size > 16 ? 4 : 2))
    }
    switch operand.place {
    case .rm: return insn.rmIsRegister ? general(insn.rm) : []
    case .rmRegister: return general(insn.rm)
    case .reg: return general(insn.reg)
    case .opcodeRegister: return general(insn.opcodeRegister)
    case .vvvv: return general(insn.vvvv)
    case .fixed: return [Registers.slot(operand.register)]
    case .vectorReg: return vector(insn.reg)
    case .vectorRm: return insn.rmIsRegister ? vector(insn.rm) : []
    case .vectorRmRegister: return vector(insn.rm)
    case .vectorVvvv: return vector(insn.vvvv)
    default: return []
    }
  }

  /// What has no destination among its operands.
  private static let onlyRead: Set<Op> = [
    .cmp, .test, .bt, .push, .jmp, .jcc, .jrcxz, .loop, .loope, .loopne, .call, .ret, .int, .nop,
    .prefetch, .clflush, .ucomiss, .ucomisd, .comiss, .comisd, .ptest, .testps, .testpd, .ldmxcsr,
    .mul, .imul1, .div, .idiv, .out, .outs, .lldt, .ltr, .lmsw, .verr, .verw, .invlpg, .invpcid,
    .wrfsbase, .wrgsbase, .mov_to_cr, .mov_to_dr, .mov_to_seg, .push_seg, .jmp_far, .call_far,
    .maskmov, .pcmpestrm, .pcmpestri, .pcmpistrm, .pcmpistri, .bound,
  ]

  /// The bits of a register that an instruction leaves to the processor's maker.
  ///
  /// - Parameters:
  ///   - slot: the register.
  ///   - bytes: the instruction.
  ///   - rcx: RCX before it.
  /// - Returns: a mask.
  public func undefined(_ slot: Int, _ bytes: [UInt8], rcx: UInt64) -> UInt64 {
    guard slot == Registers.otherFlags || slot == Registers.fpStatus,
      case .insn(let insn) = decode(bytes)
    else { return 0 }
    let row = Encodings.allRows[Int(insn.row)]
    return slot == Registers.otherFlags
      ? row.undefinedFlags(of: insn, rcx: rcx) : row.undefinedCodes
  }

  /// Whether an instruction repeats itself: a string instruction with a repeat prefix.
  public func repeats(_ bytes: [UInt8]) -> Bool {
    guard case .insn(let insn) = decode(bytes) else { return false }
    return Encodings.allRows[Int(insn.row)].traits.contains(.string)
      && !insn.prefixes.isDisjoint(with: [.rep, .repne])
  }

  /// Bytes of the instruction that these begin with; `nil` where there is none.
  public func length(_ bytes: [UInt8]) -> Int? {
    if case .insn(let insn) = decode(bytes) { Int(insn.length) } else { nil }
  }

  /// What the instruction does; `nil` where there is none.
  public func op(_ bytes: [UInt8]) -> Op? {
    if case .insn(let insn) = decode(bytes) { insn.op } else { nil }
  }

  /// In Intel's syntax.
  public func disassemble(_ bytes: [UInt8], at pc: UInt64, code: CodeKind) -> String {
    let code = CodeSize(rawValue: code) ?? .wide
    if case .insn(let insn) = decode(bytes, code) {
      return Disassembler.text(insn, pc: pc, code: code)
    }
    return ".byte " + bytes.map { "0x" + String($0, radix: 16) }.joined(separator: ",")
  }
}
