import Engine

/// What is refused with one line: the hart stops for good.
enum Refusal {
  static let none: UInt8 = 0, vector: UInt8 = 1

  static func text(_ number: UInt64) -> String {
    "gathers and masked moves through segments that are not flat are not done"
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
      Segment.flat(isCode ? 8 : 0x10, rights: isCode ? 0xcf9b : 0xcf93).put(register, x)
    }
    // The limits as after a reset of the processor.
    x[SystemSlot.gdtLimit] = 0xffff
    x[SystemSlot.idtLimit] = 0xffff
    Self.updateMode(hart)
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
    if kind == 5 {
      let flags = RFlags.read(x)
      let from = x[Slot.pc]
      try switchTask(
        to: gate >> 16 & 0xffff, .event,
        flags: event.isFault || isRepeating(x) ? flags | RFlags.resume : flags,
        external: external, code: event.hasCode ? event.code : nil, hart)
      x[SystemSlot.lastVector] = event.vector
      x[SystemSlot.lastPC] = from
      return
    }
    // Gates of 286s push 16 bits each.
    let size: UInt64 = kind < 8 ? 2 : 4
    let selector = gate >> 16 & 0xffff
    let target = gate & 0xffff | (size == 4 ? gate >> 32 & 0xffff_0000 : 0)
    guard selector & 0xfffc != 0 else { throw Fault(vector: 13, code: external) }
    let code = try descriptor(selector, external: external, hart)
    guard code.isCode, code.privilege <= privilege else {
      throw Fault(13, selector: selector, external: external)
    }
    guard code.isPresent else { throw Fault(11, selector: selector, external: external) }
    let after = code.isConforming ? privilege : code.privilege
    // From virtual-8086 mode all ways lead to privilege 0.
    let isVirtual = Self.isVirtual(x)
    guard !isVirtual || after == 0 else { throw Fault(13, selector: selector, external: external) }
    var frame = StackFrame(x)
    if after < privilege {
      frame = try innerStack(after, external, hart)
      frame.code = frame.segment.selector & 0xfffc
    }
    frame.external = external
    guard Segment(selector, code).holds(target, 1) else { throw Fault(vector: 13, code: external) }
    let flags = RFlags.read(x)
    var words =
      after == privilege ? [] : [x[SystemSlot.selectors + SegmentRegister.ss], x[Int(Lift.rsp)]]
    words += [
      event.isFault || isRepeating(x) ? flags | RFlags.resume : flags,
      x[SystemSlot.selectors + SegmentRegister.cs], Self.savedPC(x),
    ]
    if event.hasCode { words.append(event.code) }
    let data = [
      SegmentRegister.gs, SegmentRegister.fs, SegmentRegister.ds, SegmentRegister.es,
    ]
    if isVirtual { words = data.map { x[SystemSlot.selectors + $0] } + words }
    hart.setMode(
      mmuIndex: after == 3 ? MMUIndex.user : MMUIndex.supervisor, flags: x[Slot.translationFlags])
    defer { Self.updateMode(hart) }
    for word in words { try frame.push(word, size, self, hart) }
    try setCode(selector, code, privilege: after, hart)
    frame.commit(x)
    frame.segment.put(SegmentRegister.ss, x)
    if isVirtual {
      for register in data { Segment.null.put(register, x) }
    }
    enterHandler(
      event, kind | 8, Self.codeAddress(target, in: Segment(selector, code), x), nil, after, hart)
  }

  /// The stack that the task has for a privilege.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Task-State Segment (TSS)' and '16-Bit Task-State Segment (TSS)'.
  func innerStack(
    _ privilege: UInt64, _ external: UInt64, _ hart: Hart
  ) throws(Fault) -> StackFrame {
    let x = hart.x
    let isNarrow = x[SystemSlot.isNarrowTask] != 0
    let size: UInt64 = isNarrow ? 2 : 4
    let offset = isNarrow ? 2 &+ privilege << 2 : 4 &+ privilege << 3
    guard offset &+ size &+ 1 <= x[SystemSlot.taskLimit] else {
      throw Fault(10, selector: x[SystemSlot.taskSelector], external: external)
    }
    let base = x[SystemSlot.taskBase] &+ offset
    let (sp, selector) = try implicitly(hart) { () throws(Fault) in
      (try load(base, size, hart), try load(base &+ size, 2, hart))
    }
    guard selector & 0xfffc != 0 else { throw Fault(vector: 10, code: external) }
    let found = try descriptor(selector, orFault: 10, external: external, hart)
    guard selector & 3 == privilege, found.privilege == privilege, found.isWritableData else {
      throw Fault(10, selector: selector, external: external)
    }
    guard found.isPresent else { throw Fault(12, selector: selector, external: external) }
    try markAccessed(selector, found, hart)
    return StackFrame(Segment(selector, found), sp: sp, x)
  }

  /// IRET of 16- and 32-bit code.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'IRET/IRETD/IRETQ - Interrupt Return', 'Operation'.
  func returnFromInterruptLegacy(size: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let privilege = x[SystemSlot.privilege]
    var frame = StackFrame(x)
    let target = try frame.pop(size, self, hart)
    let selector = try frame.pop(size, self, hart) & 0xffff
    let flags = try frame.pop(size, self, hart)
    if flags & RFlags.virtual != 0, size == 4, privilege == 0, !Self.isLong(x) {
      return try returnToVirtual(target, code: selector, flags: flags, frame, hart)
    }
    let after = selector & 3
    let code = try returnCode(selector, hart)
    // From compatibility mode it may be to 64-bit code.
    let isWide = Self.isLong(x) && code.isLong
    if after != privilege {
      let sp = try frame.pop(size, self, hart)
      let segment = try frame.pop(size, self, hart) & 0xffff
      frame = StackFrame(
        try returnStack(segment, privilege: after, isOf32Bits: !isWide, hart), sp: sp, x)
    }
    guard isWide || Segment(selector, code).holds(target, 1) else { throw .protection }
    try setCode(selector, code, privilege: after, hart)
    frame.segment.put(SegmentRegister.ss, x)
    frame.commit(x)
    restoreFlags(flags, size, hart)
    x[SystemSlot.privilege] = after
    x[Slot.pc] = Self.codeAddress(target, in: Segment(SegmentRegister.cs, of: x), x)
    if after != privilege { dropSegments(x, privilege: after) }
    x[Slot.checkInterrupts] = 1
    Self.updateMode(hart)
  }
}
