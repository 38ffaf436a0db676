import Engine

/// Runs `body` with the hart and its instruction set.
@inline(__always)
private func with(
  _ x: UnsafeMutablePointer<UInt64>, _ body: (RV64, Hart) -> Void
) {
  RV64.of(x)._withUnsafeGuaranteedRef { isa in
    Hart.of(x)._withUnsafeGuaranteedRef { hart in body(isa, hart) }
  }
}

/// Any encoding that is no instruction, or none in this mode.
let illegalInstruction: Helper = { x, _ in with(x) { isa, hart in isa.raiseIllegal(hart) } }

/// Before a jump or a branch of a hart without C: an exception where it goes to no multiple of four.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, 'Control Transfer Instructions'.
let checkTarget: Helper = { x, _ in
  with(x) { isa, hart in
    guard let insn = Decoder.decode(UInt32(truncatingIfNeeded: isa.bits(hart))) else { return }
    let (a, b) = (x[Int(insn.rs1)], x[Int(insn.rs2)])
    let (signedA, signedB) = (Int64(bitPattern: a), Int64(bitPattern: b))
    let displaced = hart.pc &+ UInt64(bitPattern: insn.imm)
    let target: UInt64? =
      switch insn.op {
      case .jal: displaced
      case .jalr: (a &+ UInt64(bitPattern: insn.imm)) & ~1
      case .beq: a == b ? displaced : nil
      case .bne: a != b ? displaced : nil
      case .blt: signedA < signedB ? displaced : nil
      case .bge: signedA >= signedB ? displaced : nil
      case .bltu: a < b ? displaced : nil
      case .bgeu: a >= b ? displaced : nil
      default: nil
      }
    if let target, target & 2 != 0 { hart.raise(0, target) }
  }
}

/// `ecall`: to the environment where the machine serves this mode, else an exception.
///
/// - SeeAlso: RISC-V Privileged ISA Manual, 'Environment Call and Breakpoint'.
let environmentCall: Helper = { x, _ in
  with(x) { _, hart in
    let privilege = x[SystemSlot.privilege]
    if privilege == 1, hart.servesCalls {
      x[Slot.pending] = Pending.environment.rawValue
    } else {
      hart.raise(8 &+ privilege, 0)
    }
  }
}

/// Executes `ebreak`.
///
/// The manual lets xtval be zero or the address; it is the address here.
let breakpoint: Helper = { x, _ in with(x) { _, hart in hart.raise(3, hart.pc) } }

/// `sret`.
let supervisorReturn: Helper = { x, _ in
  with(x) { isa, hart in
    let privilege = x[SystemSlot.privilege]
    if privilege == 0 || (privilege == 1 && x[SystemSlot.mstatus] & Status.tsr != 0) {
      isa.raiseIllegal(hart)
    } else {
      isa.returnFromTrap(hart, supervisor: true)
    }
  }
}

/// `mret`.
let machineReturn: Helper = { x, _ in
  with(x) { isa, hart in
    if x[SystemSlot.privilege] < 3 {
      isa.raiseIllegal(hart)
    } else {
      isa.returnFromTrap(hart, supervisor: false)
    }
  }
}

/// Executes `wfi`.
///
/// Below machine mode it is illegal under mstatus.TW, and in user mode always.
///
/// - SeeAlso: RISC-V Privileged ISA Manual, 'Wait for Interrupt'.
let waitForInterrupt: Helper = { x, _ in
  with(x) { isa, hart in
    let privilege = x[SystemSlot.privilege]
    if privilege == 0 || (privilege == 1 && x[SystemSlot.mstatus] & Status.tw != 0) {
      isa.raiseIllegal(hart)
    } else {
      x[Slot.pending] = Pending.wait.rawValue
    }
  }
}

/// `fence.i`.
let fenceInstruction: Helper = { x, _ in
  with(x) { _, hart in hart.synchronizeInstructionFetch() }
}

/// `sfence.vma`: `a` and `b` are the registers of address and address space.
let fenceTranslation: Helper = { x, raw in
  with(x) { isa, hart in
    let op = raw.op
    let privilege = x[SystemSlot.privilege]
    if privilege == 0 || (privilege == 1 && x[SystemSlot.mstatus] & Status.tvm != 0) {
      isa.raiseIllegal(hart)
      return
    }
    isa.fence(
      va: op.a == 0 ? nil : x[Int(op.a)], asid: op.b == 0 ? nil : x[Int(op.b)], hart)
  }
}

/// The state of floating point becomes dirty.
let markDirty: Helper = { x, _ in
  with(x) { isa, hart in
    x[SystemSlot.mstatus] |= Status.fs
    isa.updateMode(hart)
  }
}

/// A floating-point load that makes the state dirty: `d` destination, `a` base register, `b` and `e`
/// the displacement, `c` bytes.
let loadAndMarkDirty: Helper = { x, raw in
  with(x) { isa, hart in
    let op = raw.op
    let displacement = Int16(bitPattern: UInt16(op.b) | UInt16(op.e) << 8)
    let value = hart.load(
      x[Int(op.a)] &+ UInt64(bitPattern: Int64(displacement)), UInt64(op.c))
    if x[Slot.pending] == Pending.exception.rawValue { return }
    x[Int(op.d)] = op.c == 4 ? value | 0xffff_ffff_0000_0000 : value
    x[SystemSlot.mstatus] |= Status.fs
    isa.updateMode(hart)
  }
}

/// What a CSR instruction does with the old value.
enum CSRFunction: UInt8 {
  case write = 0
  case set = 1
  case clear = 2
}

/// CSR instructions on `sstatus`: `d` destination, `a` source register, `b` function (4: with an
/// immediate).
///
/// Every trap's entry and exit moves it. What follows is looked at anew only where that may matter:
/// the saved bits (`SPP`, `SPIE`) mean nothing before the return.
let accessStatus: Helper = { x, raw in
  let op = raw.op
  guard x[SystemSlot.privilege] >= 1 else {
    with(x) { isa, hart in isa.raiseIllegal(hart) }
    return
  }
  let before = x[SystemSlot.mstatus]
  var old = before & Status.supervisor | Status.uxl64
  if before & Status.fs == Status.fs { old |= Status.sd }
  let source = op.b & 4 != 0 ? UInt64(op.a) : x[Int(op.a)]
  let value: UInt64
  switch CSRFunction(rawValue: op.b & 3) ?? .write {
  case .write: value = source
  // With x0 or a zero immediate they write nothing, which is what was there.
  case .set: value = old | source
  case .clear: value = old & ~source
  }
  let after = before & ~Status.supervisor | value & Status.supervisor
  x[Int(op.d)] = old
  guard before != after else { return }
  x[SystemSlot.mstatus] = after
  guard (before ^ after) & ~(Status.spp | Status.spie) != 0 else { return }
  with(x) { isa, hart in isa.statusChanged(before, hart) }
  if x[Slot.pending] == Pending.none.rawValue { x[Slot.pending] = Pending.reconsider.rawValue }
}

/// CSR instructions: `d` destination, `a` source register, `b` function (4: `e`'s top bits hold an
/// immediate), `c` and the low bits of `e` the number.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, '"Zicsr" Extension for Control and Status Register
///   (CSR) Instructions'.
let accessRegister: Helper = { x, raw in
  with(x) { isa, hart in
    let op = raw.op
    let number = UInt16(op.c) | UInt16(op.e & 0xf) << 8
    let immediate = op.b & 4 != 0
    let source = immediate ? UInt64(op.a) : x[Int(op.a)]
    let function = CSRFunction(rawValue: op.b & 3) ?? .write
    // With x0 or a zero immediate, set and clear do not write at all.
    let writes = function == .write || op.a != 0
    var old: UInt64 = 0
    // A write that discards the old value does not read, and must not miss a permission check.
    if function != .write || op.d != UInt8(Slot.sink) {
      guard let value = isa.readRegister(number, hart) else {
        isa.raiseIllegal(hart)
        return
      }
      old = value
    }
    if writes {
      var base = old
      // A read-modify-write of mip does not copy the external line into the writable bit.
      if number == 0x344 { base = x[SystemSlot.mip] }
      let value: UInt64
      switch function {
      case .write: value = source
      case .set: value = base | source
      case .clear: value = base & ~source
      }
      guard isa.writeRegister(number, value, hart) else {
        isa.raiseIllegal(hart)
        return
      }
      if number <= 3 { x[SystemSlot.mstatus] |= Status.fs }
      isa.updateMode(hart)
    }
    x[Int(op.d)] = old
  }
}
