import Engine

/// What is refused with one line: the hart stops for good.
enum Refusal {
  static let none: UInt8 = 0, narrow: UInt8 = 1, real: UInt8 = 2, code: UInt8 = 3
  static let segment: UInt8 = 4, task: UInt8 = 5, gate: UInt8 = 6, stack: UInt8 = 7

  static func text(_ number: UInt64) -> String {
    switch UInt8(truncatingIfNeeded: number) {
    case narrow: "string instructions and loops with 16-bit addresses are not done"
    case real: "real mode is not done"
    case code: "code segments of 16 bits are not done"
    case segment: "segments with a base or a limit are not done (but bases of FS and GS)"
    case task: "task gates and task switches are not done"
    case gate: "call gates and gates of 16 bits are not done"
    default: "stack segments of 16 bits are not done"
    }
  }
}

/// Stops the hart because of `c`.
let refuse: Helper = { x, raw in
  with(x) { isa, hart in isa.refuse(raw.op.c, hart) }
}

extension X64 {
  /// Whether 32-bit code runs: there is no long mode, or the code segment is not of 64-bit code.
  static func isLegacy(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    if x[SystemSlot.efer] & EFER.longModeActive == 0 { return true }
    let rights = x[SystemSlot.rights + SegmentRegister.cs]
    return rights != 0 && rights & SegmentRights.long == 0
  }

  static func isLong(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.efer] & EFER.longModeActive != 0
  }

  /// Whether memory is a map of regions and exceptions go to ``onException``.
  ///
  /// No processor is in long mode without paging.
  static func isMapped(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.cr0] & CR0.paging == 0 && isLong(x)
  }

  func refuse(_ what: UInt8, _ hart: Hart) {
    hart.x[SystemSlot.refusal] = UInt64(what)
    shutDown(hart)
  }

  /// What the hart was asked to do and can't, where it is shut down for that.
  public func refusal(_ hart: Hart) -> String? {
    let number = hart.x[SystemSlot.refusal]
    return number == 0 ? nil : Refusal.text(number)
  }

  /// Puts a hart where a multiboot or PVH loader leaves it: 32-bit protected mode with flat segments
  /// and without paging, interrupts off; the tables are the image's to load.
  ///
  /// - SeeAlso: Multiboot Specification 0.6.96, 'Machine state'; Xen, 'x86/HVM direct boot ABI'.
  public func enterProtected(_ hart: Hart, pc: UInt64) {
    reset(hart, pc: pc)
    let x = hart.x
    x[Registers.otherFlags] = RFlags.fixed
    x[SystemSlot.privilege] = 0
    x[SystemSlot.cr0] = CR0.protection | CR0.extensionType
    x[SystemSlot.cr4] = 0
    x[SystemSlot.efer] = 0
    x[SystemSlot.xcr0] = StateImage.x87
    x[SystemSlot.apicBase] |= APIC.enabled
    for register in 0..<6 {
      let isCode = register == SegmentRegister.cs
      x[SystemSlot.selectors + register] = isCode ? 8 : 0x10
      x[SystemSlot.rights + register] = isCode ? 0xcf9b : 0xcf93
    }
    // The limits as after a reset of the processor.
    x[SystemSlot.gdtLimit] = 0xffff
    x[SystemSlot.idtLimit] = 0xffff
    Self.updateMode(hart)
  }

  // MARK: Segments

  /// Whether a segment that is loaded in 32-bit code is flat; refuses one that is not.
  func mayLoad(_ register: Int, _ found: Descriptor, _ hart: Hart) -> Bool {
    guard Self.isLegacy(hart.x), register < SegmentRegister.fs else { return true }
    // Data that expand down have a limit of the other kind.
    let isDown = !found.isCode && found.type & 4 != 0
    if found.base & 0xffff_ffff != 0 || found.limit != 0xffff_ffff || isDown {
      refuse(Refusal.segment, hart)
      return false
    }
    if register == SegmentRegister.ss, !found.isDefault32 {
      refuse(Refusal.stack, hart)
      return false
    }
    return true
  }

  /// Whether code of a segment can be run, in the mode that there is; refuses what can't.
  func mayRun(_ found: Descriptor, _ hart: Hart) -> Bool {
    if Self.isLong(hart.x), found.isLong { return true }
    if !found.isDefault32 {
      refuse(Refusal.code, hart)
      return false
    }
    if found.base & 0xffff_ffff != 0 || found.limit != 0xffff_ffff {
      refuse(Refusal.segment, hart)
      return false
    }
    return true
  }

  // MARK: Paging

  /// Looks an address up where there is no long mode: two levels of 32-bit entries, or three of
  /// 64-bit ones.
  ///
  /// Deviation: the four entries of the first of three levels are read from memory each time.
  ///
  /// - SeeAlso: Intel SDM volume 3, '32-Bit Paging' and 'PAE Paging'.
  func lookUpLegacy(
    _ va: UInt64, _ access: Access, _ hart: Hart
  ) -> ArchitecturalTLB.Entry? {
    let x = hart.x
    let extended = x[SystemSlot.cr4] & CR4.physicalExtension != 0
    let hasNX = extended && x[SystemSlot.efer] & EFER.noExecute != 0
    let size: UInt64 = extended ? 8 : 4
    let bits: UInt64 = extended ? 9 : 10
    var table = x[SystemSlot.cr3] & 0xffff_f000
    if extended {
      let entry =
        hart.ram.load(
          x[SystemSlot.cr3] & 0xffff_ffe0 | (va >> 30 & 3) << 3, as: UInt64.self) ?? .max
      guard entry & PTE.present != 0 else { return pageFault(va, access, 0, hart) }
      table = entry & PTE.address
    }
    var rights = PTE.write | PTE.user
    var noExecute: UInt64 = 0
    var directory: (address: UInt64, entry: UInt64)?
    for level in [1, 0] {
      let shift = 12 + bits * UInt64(level)
      let address = table &+ (va >> shift & ((1 << bits) &- 1)) &* size
      if hart.ram.contains(address, size) { hart.notePageTable(address) }
      let entry =
        extended
        ? hart.ram.load(address, as: UInt64.self) ?? .max
        : hart.ram.load(address, as: UInt32.self).map { UInt64($0) } ?? 0xffff_ffff
      guard entry & PTE.present != 0 else { return pageFault(va, access, 0, hart) }
      let isLarge =
        level == 1 && entry & PTE.large != 0
        && (extended || x[SystemSlot.cr4] & CR4.pageSize != 0)
      let isReserved =
        extended
        ? PTE.reserved(entry, level: isLarge ? 1 : 0, noExecute: hasNX)
          || !hasNX && entry >> 63 != 0
        : isLarge && entry & 0x3f_e000 != 0
      if isReserved {
        return pageFault(va, access, FaultCode.present | FaultCode.reserved, hart)
      }
      rights &= entry
      noExecute |= entry & PTE.noExecute
      if level == 1, !isLarge {
        if entry & PTE.accessed == 0 { directory = (address, entry | PTE.accessed) }
        table = entry & (extended ? PTE.address : 0xffff_f000)
        continue
      }
      var effective = entry & ~(PTE.write | PTE.user) | rights | noExecute
      guard allows(effective, access, x) else {
        return pageFault(va, access, FaultCode.present, hart)
      }
      let marks = PTE.accessed | (access == .store ? PTE.dirty : 0)
      if let directory { update(directory.address, directory.entry, size, hart) }
      if entry | marks != entry { update(address, entry | marks, size, hart) }
      // A page of 4 MiB is told as the one of 4 KiB that is meant.
      if isLarge, !extended {
        effective = effective & 0xfff & ~PTE.large | (entry & 0xffc0_0000) | va & 0x3f_f000
      }
      return ArchitecturalTLB.Entry(
        entry: effective | marks, level: isLarge && extended ? 1 : 0, address: address)
    }
    return nil
  }

  private func update(_ address: UInt64, _ entry: UInt64, _ size: UInt64, _ hart: Hart) {
    if size == 8 {
      hart.ram.updateTableEntry(address, entry, by: hart)
    } else {
      // The other half of the eight bytes stays as it is.
      let word = address & ~7
      let old = hart.ram.load(word, as: UInt64.self) ?? 0
      let shift: UInt64 = address & 4 == 0 ? 0 : 32
      let new = old & ~(0xffff_ffff << shift) | (entry & 0xffff_ffff) << shift
      hart.ram.updateTableEntry(word, new, by: hart)
    }
  }

  // MARK: Delivery

  /// Goes through the gate of an event, in protected mode without long mode.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Protected-Mode Interrupt and Exception Operations'.
  func attemptLegacy(_ event: Event, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let external: UInt64 = event.isSoftware ? 0 : 1
    let privilege = x[SystemSlot.privilege]
    let inTable = Fault(vector: 13, code: event.vector << 3 | 2 | external)
    guard event.vector << 3 | 7 <= x[SystemSlot.idtLimit] else { throw inTable }
    let gate = try implicitly(hart) { () throws(Fault) in
      try load(x[SystemSlot.idtBase] &+ event.vector << 3, 8, hart)
    }
    let kind = gate >> 40 & 0x1f
    guard [5, 6, 7, 0xe, 0xf].contains(kind) else { throw inTable }
    if event.isSoftware, gate >> 45 & 3 < privilege { throw inTable }
    guard gate >> 47 & 1 == 1 else { throw Fault(vector: 11, code: inTable.code) }
    if kind == 5 { return refuse(Refusal.task, hart) }
    if kind < 8 { return refuse(Refusal.gate, hart) }
    let selector = gate >> 16 & 0xffff
    let target = gate & 0xffff | gate >> 32 & 0xffff_0000
    guard selector & 0xfffc != 0 else { throw Fault(vector: 13, code: external) }
    let code = try descriptor(selector, external: external, hart)
    guard code.isCode, code.privilege <= privilege else {
      throw Fault(13, selector: selector, external: external)
    }
    guard code.isPresent else { throw Fault(11, selector: selector, external: external) }
    guard mayRun(code, hart) else { return }
    let after = code.isConforming ? privilege : code.privilege
    var sp = x[Int(Lift.rsp)]
    var stack: (selector: UInt64, rights: UInt64)?
    if after < privilege {
      let offset = 4 &+ after << 3
      guard offset &+ 5 <= x[SystemSlot.taskLimit] else {
        throw Fault(10, selector: x[SystemSlot.taskSelector], external: external)
      }
      let base = x[SystemSlot.taskBase] &+ offset
      let (newSP, newSS) = try implicitly(hart) { () throws(Fault) in
        (try load(base, 4, hart), try load(base &+ 4, 2, hart))
      }
      guard newSS & 0xfffc != 0 else { throw Fault(vector: 10, code: external) }
      let found = try descriptor(newSS, orFault: 10, external: external, hart)
      guard newSS & 3 == after, found.privilege == after, found.isWritableData else {
        throw Fault(10, selector: newSS, external: external)
      }
      guard found.isPresent else { throw Fault(12, selector: newSS, external: external) }
      guard mayLoad(SegmentRegister.ss, found, hart) else { return }
      try markAccessed(newSS, found, hart)
      sp = newSP
      stack = (newSS, found.rights)
    }
    let flags = RFlags.read(x)
    var words =
      stack == nil ? [] : [x[SystemSlot.selectors + SegmentRegister.ss], x[Int(Lift.rsp)]]
    words += [
      event.isFault || isRepeating(x) ? flags | RFlags.resume : flags,
      x[SystemSlot.selectors + SegmentRegister.cs], x[Slot.pc],
    ]
    if event.hasCode { words.append(event.code) }
    hart.setMode(
      mmuIndex: after == 3 ? MMUIndex.user : MMUIndex.supervisor, flags: x[Slot.translationFlags])
    x[SystemSlot.stackAccess] = 1
    defer {
      x[SystemSlot.stackAccess] = 0
      Self.updateMode(hart)
    }
    for word in words {
      sp = (sp &- 4) & 0xffff_ffff
      try store(sp, 4, word & 0xffff_ffff, hart)
    }
    try setCode(selector, code, privilege: after, hart)
    if let stack {
      x[SystemSlot.selectors + SegmentRegister.ss] = stack.selector
      x[SystemSlot.rights + SegmentRegister.ss] = stack.rights
    }
    enterHandler(event, kind, target, sp, after, hart)
  }

  /// IRET of 32-bit code.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'IRET/IRETD/IRETQ - Interrupt Return', 'Operation'.
  func returnFromInterruptLegacy(size: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let privilege = x[SystemSlot.privilege]
    var sp = x[Int(Lift.rsp)]
    x[SystemSlot.stackAccess] = 1
    defer { x[SystemSlot.stackAccess] = 0 }
    func word(_ index: UInt64) throws(Fault) -> UInt64 {
      try load((sp &+ index &* size) & 0xffff_ffff, size, hart)
    }
    let target = try word(0)
    let selector = try word(1) & 0xffff
    let flags = try word(2)
    let after = selector & 3
    let code = try returnCode(selector, hart)
    guard mayRun(code, hart) else { return }
    var stack: (selector: UInt64, rights: UInt64)?
    var newSP = (sp &+ 3 &* size) & 0xffff_ffff
    if after != privilege {
      newSP = try word(3)
      let segment = try word(4) & 0xffff
      stack = (segment, try returnStack(segment, privilege: after, hart))
    }
    try setCode(selector, code, privilege: after, hart)
    if let stack {
      x[SystemSlot.selectors + SegmentRegister.ss] = stack.selector
      x[SystemSlot.rights + SegmentRegister.ss] = stack.rights
    }
    sp = newSP
    restoreFlags(flags, size, hart)
    x[SystemSlot.privilege] = after
    x[Int(Lift.rsp)] = sp
    x[Slot.pc] = target
    if after != privilege { dropSegments(x, privilege: after) }
    x[Slot.checkInterrupts] = 1
    Self.updateMode(hart)
  }
}
