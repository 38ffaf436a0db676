import Engine

/// Where the RISC-V system state lives in ``Slot``.
enum SystemSlot {
  // What every trap's entry code moves is where micro-ops reach it.
  static let sscratch = Slot.isa
  static let sepc = Slot.isa + 1
  static let scause = Slot.isa + 2
  static let stval = Slot.isa + 3
  static let fflags = Slot.fpFlags
  static let frm = Slot.fpRounding
  /// 0 user, 1 supervisor, 3 machine.
  static let privilege = Slot.system
  static let mstatus = Slot.system + 1
  static let medeleg = Slot.system + 2
  static let mideleg = Slot.system + 3
  static let mie = Slot.system + 4
  /// The bits of mip that software writes.
  static let mip = Slot.system + 5
  /// The bits of mip that devices and timers drive.
  static let lines = Slot.system + 6
  static let mtvec = Slot.system + 7
  static let mcounteren = Slot.system + 8
  static let menvcfg = Slot.system + 9
  static let mcountinhibit = Slot.system + 10
  static let mscratch = Slot.system + 11
  static let mepc = Slot.system + 12
  static let mcause = Slot.system + 13
  static let mtval = Slot.system + 14
  static let stvec = Slot.system + 15
  static let scounteren = Slot.system + 16
  static let senvcfg = Slot.system + 17
  static let satp = Slot.system + 22
  static let stimecmp = Slot.system + 23
  static let mhartid = Slot.system + 24
  /// What to add to `Hart.count` to get the machine's ticks.
  static let timeOffset = Slot.system + 25
  /// mcycle and minstret: what to add to their source, or while inhibited their frozen value.
  static let mcycle = Slot.system + 26
  static let minstret = Slot.system + 27
  static let pmpaddr = Slot.system + 32
  static let pmpcfg = Slot.system + 48
}

/// Bits of `mstatus`.
///
/// - SeeAlso: RISC-V Privileged ISA Manual, 'Machine Status (mstatus and mstatush) Registers'.
enum Status {
  static let sie: UInt64 = 1 << 1
  static let mie: UInt64 = 1 << 3
  static let spie: UInt64 = 1 << 5
  static let mpie: UInt64 = 1 << 7
  static let spp: UInt64 = 1 << 8
  static let mpp: UInt64 = 3 << 11
  static let fs: UInt64 = 3 << 13
  static let mprv: UInt64 = 1 << 17
  static let sum: UInt64 = 1 << 18
  static let mxr: UInt64 = 1 << 19
  static let tvm: UInt64 = 1 << 20
  static let tw: UInt64 = 1 << 21
  static let tsr: UInt64 = 1 << 22
  static let uxl64: UInt64 = 2 << 32
  static let sxl64: UInt64 = 2 << 34
  static let sd: UInt64 = 1 << 63

  static let writable =
    sie | mie | spie | mpie | spp | mpp | fs | mprv | sum | mxr | tvm | tw | tsr
  static let supervisor = sie | spie | spp | fs | sum | mxr
  static let supervisorRead = supervisor | uxl64 | sd
}

/// Bits of `mip` and `mie`, and the numbers of the interrupts.
///
/// - SeeAlso: RISC-V Privileged ISA Manual, 'Machine Interrupt (mip and mie) Registers'.
enum Interrupt {
  static let ssi: UInt64 = 1 << 1
  static let msi: UInt64 = 1 << 3
  static let sti: UInt64 = 1 << 5
  static let mti: UInt64 = 1 << 7
  static let sei: UInt64 = 1 << 9
  static let mei: UInt64 = 1 << 11
  static let supervisor = ssi | sti | sei
  static let all = supervisor | msi | mti | mei
}

/// How a system register stores what is written to it.
enum SystemRegisterKind {
  /// Bits of one slot; the others read as zero.
  case plain(Int, mask: UInt64)
  /// Reads as a constant; writes have no effect.
  case constant(UInt64)
  /// Anything with rules of its own, which `RV64.read(special:)` and `write(special:)` know.
  case special
}

/// One row of the table of system registers.
struct SystemRegister {
  let number: UInt16
  let name: String
  let kind: SystemRegisterKind

  /// Bits 9:8 of the number are the least privilege.
  ///
  /// - SeeAlso: RISC-V Privileged ISA Manual, 'CSR Address Mapping Conventions'.
  var privilege: UInt64 { UInt64(number >> 8 & 3) }
  /// Numbers whose top two bits are ones are read-only.
  var isReadOnly: Bool { number >> 10 == 3 }
}

/// The system registers of this hart, in the manual's order.
///
/// - SeeAlso: RISC-V Privileged ISA Manual, 'CSR Listing'.
enum SystemRegisters {
  /// Implemented physical-memory-protection entries.
  static let pmpEntries = 16
  /// `misa`: RV64 with A, C, D, F, I, M, S and U.
  static let misa: UInt64 = 2 << 62 | 0x14_112d

  static let table: [SystemRegister] = {
    var rows: [SystemRegister] = [
      .init(number: 0x001, name: "fflags", kind: .special),
      .init(number: 0x002, name: "frm", kind: .special),
      .init(number: 0x003, name: "fcsr", kind: .special),
      .init(number: 0xc00, name: "cycle", kind: .special),
      .init(number: 0xc01, name: "time", kind: .special),
      .init(number: 0xc02, name: "instret", kind: .special),

      .init(number: 0x100, name: "sstatus", kind: .special),
      .init(number: 0x104, name: "sie", kind: .special),
      .init(number: 0x105, name: "stvec", kind: .special),
      .init(
        number: 0x106, name: "scounteren",
        kind: .plain(SystemSlot.scounteren, mask: 0xffff_ffff)),
      .init(number: 0x10a, name: "senvcfg", kind: .plain(SystemSlot.senvcfg, mask: 1)),
      .init(number: 0x140, name: "sscratch", kind: .plain(SystemSlot.sscratch, mask: .max)),
      .init(number: 0x141, name: "sepc", kind: .plain(SystemSlot.sepc, mask: ~1)),
      .init(number: 0x142, name: "scause", kind: .plain(SystemSlot.scause, mask: .max)),
      .init(number: 0x143, name: "stval", kind: .plain(SystemSlot.stval, mask: .max)),
      .init(number: 0x144, name: "sip", kind: .special),
      .init(number: 0x14d, name: "stimecmp", kind: .special),
      .init(number: 0x180, name: "satp", kind: .special),

      .init(number: 0xf11, name: "mvendorid", kind: .constant(0)),
      .init(number: 0xf12, name: "marchid", kind: .constant(0)),
      .init(number: 0xf13, name: "mimpid", kind: .constant(0)),
      .init(number: 0xf14, name: "mhartid", kind: .plain(SystemSlot.mhartid, mask: 0)),
      .init(number: 0xf15, name: "mconfigptr", kind: .constant(0)),
      .init(number: 0x300, name: "mstatus", kind: .special),
      .init(number: 0x301, name: "misa", kind: .constant(misa)),
      .init(number: 0x302, name: "medeleg", kind: .plain(SystemSlot.medeleg, mask: 0xb3ff)),
      .init(
        number: 0x303, name: "mideleg",
        kind: .plain(SystemSlot.mideleg, mask: Interrupt.supervisor)),
      .init(number: 0x304, name: "mie", kind: .plain(SystemSlot.mie, mask: Interrupt.all)),
      .init(number: 0x305, name: "mtvec", kind: .special),
      .init(
        number: 0x306, name: "mcounteren",
        kind: .plain(SystemSlot.mcounteren, mask: 0xffff_ffff)),
      .init(number: 0x30a, name: "menvcfg", kind: .special),
      .init(number: 0x320, name: "mcountinhibit", kind: .special),
      .init(number: 0x340, name: "mscratch", kind: .plain(SystemSlot.mscratch, mask: .max)),
      .init(number: 0x341, name: "mepc", kind: .plain(SystemSlot.mepc, mask: ~1)),
      .init(number: 0x342, name: "mcause", kind: .plain(SystemSlot.mcause, mask: .max)),
      .init(number: 0x343, name: "mtval", kind: .plain(SystemSlot.mtval, mask: .max)),
      .init(number: 0x344, name: "mip", kind: .special),
      .init(number: 0x7a0, name: "tselect", kind: .constant(0)),
      .init(number: 0x7a1, name: "tdata1", kind: .constant(0)),
      .init(number: 0x7a2, name: "tdata2", kind: .constant(0)),
      .init(number: 0x7a3, name: "tdata3", kind: .constant(0)),
      .init(number: 0xb00, name: "mcycle", kind: .special),
      .init(number: 0xb02, name: "minstret", kind: .special),
    ]
    for n in 3..<32 {
      // No hardware performance events: the counters read zero, as the manual allows.
      let at = UInt16(n)
      rows.append(.init(number: 0xc00 + at, name: "hpmcounter\(n)", kind: .special))
      rows.append(.init(number: 0xb00 + at, name: "mhpmcounter\(n)", kind: .constant(0)))
      rows.append(.init(number: 0x320 + at, name: "mhpmevent\(n)", kind: .constant(0)))
    }
    // On RV64 only the even configuration registers exist.
    for n in stride(from: 0, to: 16, by: 2) {
      rows.append(.init(number: 0x3a0 + UInt16(n), name: "pmpcfg\(n)", kind: .special))
    }
    for n in 0..<64 {
      rows.append(.init(number: 0x3b0 + UInt16(n), name: "pmpaddr\(n)", kind: .special))
    }
    return rows
  }()

  /// Row index by number, plus one; zero where there is no such register.
  private static let index: [UInt16] = {
    var index = [UInt16](repeating: 0, count: 4096)
    for (at, row) in table.enumerated() { index[Int(row.number)] = UInt16(at + 1) }
    return index
  }()

  /// The register of a number.
  static func find(_ number: UInt16) -> SystemRegister? {
    let at = index[Int(number & 0xfff)]
    return at == 0 ? nil : table[Int(at) - 1]
  }

  /// The slot of a supervisor register that only stores, and which bits it keeps (all but low ones):
  /// `sscratch`, `sepc`, `scause`, `stval`, which every trap's entry code moves.
  static func supervisorStorage(_ number: UInt16) -> (slot: Int, mask: UInt64)? {
    guard (0x140...0x143).contains(number), let row = find(number),
      case .plain(let slot, let mask) = row.kind
    else { return nil }
    return (slot, mask)
  }
}

extension RV64 {
  /// Reads a system register as an instruction in the present mode does.
  ///
  /// - Returns: `nil` where that raises an illegal-instruction exception.
  func readRegister(_ number: UInt16, _ hart: Hart) -> UInt64? {
    guard let row = SystemRegisters.find(number), allows(row, hart) else { return nil }
    switch row.kind {
    case .plain(let slot, _): return hart.x[slot]
    case .constant where number == 0x301 && !hasCompressed: return SystemRegisters.misa & ~4
    case .constant(let value): return value
    case .special: return read(special: number, hart)
    }
  }

  /// Writes a system register as an instruction in the present mode does.
  ///
  /// Illegal values leave legal ones behind (WARL).
  ///
  /// - Returns: `false` where that raises an illegal-instruction exception.
  func writeRegister(_ number: UInt16, _ value: UInt64, _ hart: Hart) -> Bool {
    guard let row = SystemRegisters.find(number), allows(row, hart), !row.isReadOnly else {
      return false
    }
    switch row.kind {
    case .plain(let slot, let mask):
      let isPC = slot == SystemSlot.sepc || slot == SystemSlot.mepc
      // Without C bit 1 of them can't be set either.
      hart.x[slot] = value & (isPC && !hasCompressed ? mask & ~2 : mask)
      if slot == SystemSlot.mie || slot == SystemSlot.mideleg { hart.x[Slot.checkInterrupts] = 1 }
    case .constant: break
    case .special: write(special: number, value, hart)
    }
    return true
  }

  /// Whether the present mode may touch the register at all.
  private func allows(_ row: SystemRegister, _ hart: Hart) -> Bool {
    let x = hart.x
    let privilege = x[SystemSlot.privilege]
    guard privilege >= row.privilege else { return false }
    switch row.number {
    case 0x001, 0x002, 0x003: return x[SystemSlot.mstatus] & Status.fs != 0
    case 0x180: return !(privilege == 1 && x[SystemSlot.mstatus] & Status.tvm != 0)
    case 0x14d:
      // Sstc: needs menvcfg.STCE and mcounteren.TM below machine mode.
      return privilege == 3
        || (x[SystemSlot.menvcfg] >> 63 == 1 && x[SystemSlot.mcounteren] & 2 != 0)
    case 0xc00...0xc1f:
      let bit: UInt64 = 1 << UInt64(row.number & 31)
      if privilege < 3, x[SystemSlot.mcounteren] & bit == 0 { return false }
      if privilege < 1, x[SystemSlot.scounteren] & bit == 0 { return false }
      return true
    default: return true
    }
  }

  /// `mip` as software sees it.
  func pendingInterrupts(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    x[SystemSlot.mip] | x[SystemSlot.lines]
  }

  /// The machine's ticks, exact inside helpers.
  func ticks(_ hart: Hart) -> UInt64 { hart.count &+ hart.x[SystemSlot.timeOffset] }

  private func read(special number: UInt16, _ hart: Hart) -> UInt64 {
    let x = hart.x
    switch number {
    case 0x001: return x[SystemSlot.fflags]
    case 0x002: return x[SystemSlot.frm]
    case 0x003: return x[SystemSlot.frm] << 5 | x[SystemSlot.fflags]
    case 0xc00, 0xb00:
      return x[SystemSlot.mcycle] &+ (x[SystemSlot.mcountinhibit] & 1 != 0 ? 0 : hart.count)
    case 0xc02, 0xb02:
      let retired = hart.count &- x[Slot.exceptions]
      return x[SystemSlot.minstret] &+ (x[SystemSlot.mcountinhibit] & 4 != 0 ? 0 : retired)
    case 0xc01: return ticks(hart)
    case 0x100: return statusRead(x) & Status.supervisorRead
    case 0x104: return x[SystemSlot.mie] & x[SystemSlot.mideleg]
    case 0x105: return x[SystemSlot.stvec]
    case 0x144: return pendingInterrupts(x) & x[SystemSlot.mideleg]
    case 0x14d: return x[SystemSlot.stimecmp]
    case 0x180: return x[SystemSlot.satp]
    case 0x300: return statusRead(x)
    case 0x305: return x[SystemSlot.mtvec]
    case 0x30a: return x[SystemSlot.menvcfg]
    case 0x320: return x[SystemSlot.mcountinhibit]
    case 0x344: return pendingInterrupts(x)
    case 0x3a0, 0x3a2: return x[SystemSlot.pmpcfg + Int(number - 0x3a0) / 2]
    case 0x3b0..<0x3c0: return x[SystemSlot.pmpaddr + Int(number - 0x3b0)]
    default: return 0
    }
  }

  private func statusRead(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    let status = x[SystemSlot.mstatus] | Status.uxl64 | Status.sxl64
    return status & Status.fs == Status.fs ? status | Status.sd : status
  }

  private func write(special number: UInt16, _ value: UInt64, _ hart: Hart) {
    let x = hart.x
    switch number {
    case 0x001: x[SystemSlot.fflags] = value & 0x1f
    case 0x002: x[SystemSlot.frm] = value & 7
    case 0x003:
      x[SystemSlot.fflags] = value & 0x1f
      x[SystemSlot.frm] = value >> 5 & 7
    case 0x100: writeStatus(value, mask: Status.supervisor, hart)
    case 0x300: writeStatus(value, mask: Status.writable, hart)
    case 0x104:
      let mask = x[SystemSlot.mideleg]
      x[SystemSlot.mie] = x[SystemSlot.mie] & ~mask | value & mask
      x[Slot.checkInterrupts] = 1
    case 0x144:
      let mask = x[SystemSlot.mideleg] & Interrupt.ssi
      x[SystemSlot.mip] = x[SystemSlot.mip] & ~mask | value & mask
      x[Slot.checkInterrupts] = 1
    case 0x344:
      var mask = Interrupt.supervisor
      // With Sstc in force the comparator alone drives STIP.
      if x[SystemSlot.menvcfg] >> 63 == 1 { mask &= ~Interrupt.sti }
      x[SystemSlot.mip] = x[SystemSlot.mip] & ~mask | value & mask
      x[Slot.checkInterrupts] = 1
    case 0x105: if value & 3 < 2 { x[SystemSlot.stvec] = value }
    case 0x305: if value & 3 < 2 { x[SystemSlot.mtvec] = value }
    case 0x14d:
      x[SystemSlot.stimecmp] = value
      timerChanged(hart)
    case 0x30a:
      x[SystemSlot.menvcfg] = value & (1 << 63 | 1)
      timerChanged(hart)
    case 0x180: writeRoot(value, hart)
    case 0x320:
      // Freezing keeps the value that the counter has now; thawing goes on from it.
      let before = x[SystemSlot.mcountinhibit]
      for (bit, slot, source) in [
        (UInt64(1), SystemSlot.mcycle, hart.count &+ 1),
        (4, SystemSlot.minstret, hart.count &+ 1 &- x[Slot.exceptions]),
      ] where (before ^ value) & bit != 0 {
        x[slot] = value & bit != 0 ? x[slot] &+ source : x[slot] &- source
      }
      x[SystemSlot.mcountinhibit] = value & 5
    case 0xb00:
      // The instruction that writes is not counted: the next one reads what was written.
      let running = x[SystemSlot.mcountinhibit] & 1 == 0
      x[SystemSlot.mcycle] = running ? value &- hart.count &- 1 : value
    case 0xb02:
      let running = x[SystemSlot.mcountinhibit] & 4 == 0
      x[SystemSlot.minstret] =
        running ? value &- hart.count &- 1 &+ x[Slot.exceptions] : value
    case 0x3a0, 0x3a2: writePMPConfiguration(Int(number - 0x3a0) / 2, value, hart)
    case 0x3b0..<0x3c0: writePMPAddress(Int(number - 0x3b0), value, hart)
    default: break
    }
  }

  /// Writes the bits of `mask` in mstatus and follows up on what they mean.
  func writeStatus(_ value: UInt64, mask: UInt64, _ hart: Hart) {
    let x = hart.x
    let before = x[SystemSlot.mstatus]
    var after = before & ~mask | value & mask
    // MPP is WARL: there is no privilege 2.
    if after & Status.mpp == 2 << 11 { after = after & ~Status.mpp | before & Status.mpp }
    x[SystemSlot.mstatus] = after
    statusChanged(before, hart)
  }

  /// `mstatus` was `before`; drops translations that it changed and sets mode and interrupts.
  func statusChanged(_ before: UInt64, _ hart: Hart) {
    let after = hart.x[SystemSlot.mstatus]
    let changed = before ^ after
    if changed & Status.mxr != 0
      || (changed & (Status.mprv | Status.mpp | Status.sum) != 0
        && (before | after) & Status.mprv != 0)
    {
      hart.flushTLB()
    }
    updateMode(hart)
    hart.x[Slot.checkInterrupts] = 1
  }

  private func writeRoot(_ value: UInt64, _ hart: Hart) {
    let mode = value >> 60
    // An unsupported MODE makes the whole write have no effect.
    guard mode == 0 || mode == 8 || mode == 9, hart.x[SystemSlot.satp] != value else { return }
    let old = hart.x[SystemSlot.satp]
    hart.x[SystemSlot.satp] = value
    // The architectural TLB knows address spaces by their ASID alone.
    if hart.cacheModel == .architectural {
      hart.flushTLB()
    } else {
      hart.switchSpace(from: old, to: value)
    }
  }
}
