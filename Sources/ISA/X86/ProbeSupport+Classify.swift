import Engine

/// What a probe has to put right once a copy has run.
struct SlotPlan: RawRepresentable {
  var rawValue: UInt32

  enum Kind: UInt32 {
    /// RIP is so far off as the slot is from the instruction.
    case relative
    /// RIP is what it should be.
    case absolute
    /// The same, but the pushed return address is the slot's.
    case call
    /// TF is what the instruction loaded.
    case flags
  }

  init(rawValue: UInt32) { self.rawValue = rawValue }

  init(_ kind: Kind, scratch: UInt8? = nil, repeats: Bool = false) {
    rawValue = kind.rawValue | (repeats ? 4 : 0) | (scratch.map { UInt32($0) + 1 } ?? 0) << 8
  }

  var kind: Kind { Kind(rawValue: rawValue & 3) ?? .relative }
  /// A string instruction, which TF interrupts after each iteration.
  var repeats: Bool { rawValue & 4 != 0 }
  /// The register that stands for RIP in a program's slot.
  var scratch: UInt8? { rawValue >> 8 == 0 ? nil : UInt8(truncatingIfNeeded: rawValue >> 8 - 1) }
}

/// An instruction's bytes, told apart.
struct ProbedForm {
  let insn: Insn
  private let bytes: [UInt8]
  /// Prefixes but REX and VEX.
  private var prefixes: ArraySlice<UInt8>
  /// Where REX is.
  private(set) var rex: Int?
  /// Where C4 or C5 is.
  private(set) var vex: Int?
  /// The first byte of the opcode, or behind VEX the one of the map.
  private let opcode: UInt8
  /// The byte behind it.
  private let second: UInt8

  init(_ insn: Insn, _ bytes: [UInt8]) {
    self.insn = insn
    self.bytes = bytes
    var at = 0
    while at < bytes.count, Self.legacyPrefixes.contains(bytes[at]) || bytes[at] >> 4 == 4 {
      rex = bytes[at] >> 4 == 4 ? at : nil
      at += 1
    }
    prefixes = bytes[..<(rex ?? at)]
    if insn.prefixes.contains(.vex) {
      vex = at
      at += bytes[at] == 0xc4 ? 3 : 2
    }
    opcode = at < bytes.count ? bytes[at] : 0
    second = at + 1 < bytes.count ? bytes[at + 1] : 0
  }

  private static let legacyPrefixes: Set<UInt8> = [
    0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3,
  ]

  var isRIPRelative: Bool { insn.hasMemory && insn.base == Insn.rip }

  private var name: String { Disassembler.mnemonic(insn) }
  private var isVector: Bool { vex != nil }
  private var isNear: Bool { insn.op == .jmp || insn.op == .call }
  private var isRelativeJump: Bool {
    switch insn.op {
    case .jcc: true
    case .jmp, .call: opcode != 0xff
    default: false
    }
  }
  /// Whether its copy may go back by itself: nothing has to be put right behind it.
  ///
  /// By Linux's table; what is behind 0F 38 and 0F 3A never, and what is behind VEX as if it were of
  /// the first map.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `can_boost`, `twobyte_is_boostable`
  var isBoostable: Bool {
    if opcode == 0x0f, !isVector {
      return second != 0x38 && second != 0x3a
        && Self.boostableBehind0F[Int(second >> 4)] >> UInt16(second & 15) & 1 != 0
    }
    if insn.prefixes.contains(.addressSize) { return false }
    switch opcode >> 4 {
    case 0x7: return false
    case 0xc: return (0xc2...0xcb).contains(opcode) || opcode == 0xcf
    case 0xd: return opcode == 0xd7
    case 0xe: return opcode & 4 != 0
    case 0xf: return opcode == 0xf5 || (0xf8...0xfd).contains(opcode)
    default: return true
    }
  }

  /// A bit for each low half of an opcode, by its high half.
  private static let boostableBehind0F: [UInt16] = [
    0x034c, 0x8000, 0x000f, 0x0002, 0xffff, 0x0000, 0xcfff, 0xc0f0, 0x0000, 0xffff, 0xbb3b, 0xf8ff,
    0xff03, 0xbb2e, 0xbb26, 0x772e,
  ]

  /// MOV SS, which has debug traps wait for the next instruction.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/asm/insn.h`, `insn_masking_exception`
  private var masksExceptions: Bool { insn.op == .mov_to_seg && insn.reg & 7 == 2 }

  // MARK: The kernel's

  /// Deviations from Linux.
  ///
  /// Far RET is refused, where Linux simulates a near one; HLT, which would sleep with
  /// interrupts off in its slot; SYSRET and SYSCALL, which would not come back to theirs. LOOP is simulated as it runs; Linux tests the count from before.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `can_probe`, `__copy_instruction`,
  ///   `prepare_emulation`
  var kernelVerdict: ProbeVerdict {
    switch insn.op {
    case .cli, .sti, .pushf, .popf, .ret, .jcc, .loop, .loope, .loopne, .jrcxz: return .simulate
    case .jmp, .call:
      if opcode != 0xff { return .simulate }
      guard insn.rmIsRegister, !insn.prefixes.contains(.addressSize) else {
        return .refuse("\(name) through memory can't be displaced", .unsupported)
      }
      return .simulate
    case .int3, .int, .int1, .ud, .iret, .call_far, .jmp_far, .ret_far, .sysret, .syscall, .vmcall,
      .hlt:
      return .refuse("\(name) can't be displaced", insn.op == .int3 ? .invalid : .unsupported)
    default:
      if masksExceptions { return .refuse("mov ss masks exceptions") }
      if isRIPRelative, insn.prefixes.contains(.addressSize) {
        return .refuse("an address relative to eip can't be moved")
      }
      return .outOfLine
    }
  }

  // MARK: A program's

  /// Opcodes that Linux takes no probe on.
  ///
  /// Behind VEX the same numbers mean other instructions, and are refused all the same. The second
  /// table, of the opcodes behind 0F (`good_2byte_insns`), is never asked: the first one says that 0F
  /// itself is good. (In older kernels it did not.)
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `good_insns_64`
  private static let bad: Set<UInt8> = {
    let ranges: [ClosedRange<UInt8>] = [
      0x06...0x07, 0x0e...0x0e, 0x16...0x17, 0x1e...0x1f, 0x27...0x27, 0x2f...0x2f, 0x37...0x37,
      0x3f...0x3f, 0x60...0x62, 0x6c...0x6f, 0x82...0x82, 0x9a...0x9a, 0xcc...0xcf, 0xd4...0xd6,
      0xe4...0xe7, 0xea...0xea, 0xec...0xef, 0xf1...0xf1, 0xf4...0xf4, 0xfa...0xfb,
    ]
    return Set(ranges.joined())
  }()

  /// Deviations from Linux.
  ///
  /// SYSCALL is refused, which Linux's second table means to do: its child would come back in the
  /// slot. Far CALL is refused, where Linux takes what it pushed for a near one's. PUSHF
  /// is simulated, where Linux leaves TF in what it pushed.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `uprobe_init_insn`, `branch_setup_xol_ops`,
  ///   `push_setup_xol_ops`, `arch_uprobe_analyze_insn`
  var userVerdict: ProbeVerdict {
    for prefix in prefixes where [0x26, 0x2e, 0x36, 0x3e, 0xf0].contains(prefix) {
      return .refuse("\(name) with prefix \(Self.hex(prefix)) can't be displaced", .unsupported)
    }
    if masksExceptions { return .refuse("mov ss masks exceptions", .unsupported) }
    if Self.bad.contains(opcode) {
      return .refuse("\(name) can't be displaced", .unsupported)
    }
    switch insn.op {
    case .syscall, .call_far: return .refuse("\(name) can't be displaced", .unsupported)
    case .jmp, .jcc, .call:
      guard isRelativeJump else { return .outOfLine }
      return insn.prefixes.contains(.operandSize)
        ? .refuse("\(name) with prefix 66 can't be displaced", .unsupported) : .simulate
    case .nop where opcode == 0x90 || insn.modRM != 0: return .simulate
    case .pushf: return .simulate
    case .push where opcode >> 3 == 0x50 >> 3:
      let isPlain = bytes.count == 1 || bytes.count == 2 && bytes[0] == 0x41
      return isPlain ? .simulate : .outOfLine
    default: return .outOfLine
    }
  }

  private static func hex(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }

  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `default_post_xol_op`,
  ///   `arch_uprobe_analyze_insn`
  var plan: SlotPlan {
    let kind: SlotPlan.Kind
    switch insn.op {
    case .ret, .ret_far, .jmp_far: kind = .absolute
    case .jmp where opcode == 0xff: kind = .absolute
    case .call: kind = .call
    case .popf: kind = .flags
    default: kind = .relative
    }
    let repeats =
      Tables.shared.info[Int(insn.row)].traits.contains(.string)
      && !insn.prefixes.isDisjoint(with: [.rep, .repne])
    return SlotPlan(kind, scratch: isRIPRelative ? scratch : nil, repeats: repeats)
  }

  /// A register that the instruction does not name: rsi, rdi or rbx.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `riprel_analyze`
  private var scratch: UInt8 {
    let used = [insn.reg & 7, isVector ? insn.vvvv & 7 : 0xff]
    if !used.contains(6) { return 6 }
    return used.contains(7) ? 3 : 7
  }
}
