import Engine

/// Which instructions' flags anybody may see.
///
/// A flag write is dead where a later instruction of the block gives every flag of it a new value
/// before anything tests one or may fault: a fault shows the flags to the kernel.
enum Liveness {
  /// Whether the block ends with this instruction.
  static func endsBlock(_ insn: Insn) -> Bool {
    switch insn.op {
    case .jmp, .jcc, .jrcxz, .loop, .loope, .loopne, .call, .ret, .int3, .int, .int1, .syscall,
      .ud, .popf, .hlt, .iret, .sysret, .jmp_far, .call_far, .ret_far, .vmcall, .sti, .mov_to_cr,
      .mov_to_seg, .wrmsr:
      true
    case .movs, .cmps, .stos, .lods, .scas:
      !insn.prefixes.isDisjoint(with: [.rep, .repne])
    default: false
    }
  }

  /// Whether it can't fault, and shows the flags to nobody but by testing them.
  private static func isQuiet(_ insn: Insn) -> Bool {
    switch insn.op {
    case .lea, .nop, .prefetch: true
    case .mov: !insn.hasMemory && !Tables.shared.info[Int(insn.row)].hasOffset
    case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc, .dec, .neg, .not, .movzx,
      .movsx, .movsxd, .cmovcc, .setcc, .xchg, .bswap, .cbw, .cwd, .mul, .imul1, .imul, .rol, .ror,
      .rcl, .rcr, .shl, .shr, .sar, .shld, .shrd, .bt, .bts, .btr, .btc, .bsf, .bsr, .popcnt,
      .lzcnt, .tzcnt, .andn, .bextr, .blsi, .blsmsk, .blsr, .bzhi, .mulx, .pdep, .pext, .rorx,
      .sarx, .shlx, .shrx, .clc, .stc, .cmc, .cld, .std, .lahf, .sahf, .xadd, .cmpxchg, .adcx,
      .adox, .crc32, .movbe:
      !insn.hasMemory
    default: false
    }
  }

  static func compute(_ insns: [Insn], observing: Bool, into live: inout [Bool]) {
    live.removeAll(keepingCapacity: true)
    live.append(contentsOf: repeatElement(true, count: insns.count))
    if observing { return }
    var needed = StatusFlags.all
    for index in insns.indices.reversed() {
      let insn = insns[index]
      let row = Tables.shared.info[Int(insn.row)]
      live[index] = row.written & needed != 0
      if isQuiet(insn) {
        if !row.traits.contains(.counted) { needed &= ~row.written }
        needed |= row.tested
      } else {
        needed = StatusFlags.all
      }
    }
  }
}
