import Engine

extension X64 {
  /// Sets a hart that has been entered up as a kernel would, with breakpoints and steps at random:
  /// for fuzzing.
  ///
  /// - Parameters:
  ///   - hart: the hart.
  ///   - gdt: base and limit of the table of segments.
  ///   - idt: the same of gates.
  ///   - task: the same of the task.
  ///   - root: CR3.
  ///   - pages: whether there is paging.
  ///   - rng: what the rest follows from.
  package func fuzz(
    _ hart: Hart, gdt: (UInt64, UInt64), idt: (UInt64, UInt64), task: (UInt64, UInt64),
    root: UInt64, pages: Bool, _ rng: inout some RandomNumberGenerator
  ) {
    let x = hart.x
    (x[SystemSlot.gdtBase], x[SystemSlot.gdtLimit]) = gdt
    (x[SystemSlot.idtBase], x[SystemSlot.idtLimit]) = idt
    (x[SystemSlot.taskBase], x[SystemSlot.taskLimit]) = task
    x[SystemSlot.taskSelector] = 0x38
    x[SystemSlot.cr3] = root
    let isLong = Self.isLong(x)
    if pages, !isLong { x[SystemSlot.cr0] |= CR0.paging | CR0.writeProtect }
    x[SystemSlot.cr4] |= CR4.osFXSR | CR4.osExceptions
    func once(in n: UInt64) -> Bool { rng.next() % n == 0 }
    if once(in: 2) { x[SystemSlot.cr4] |= CR4.debugging }
    if once(in: 3) { x[SystemSlot.cr0] |= CR0.alignment }
    if once(in: 4) { x[SystemSlot.cr4] |= CR4.accessPrevention | CR4.executionPrevention }
    x[SystemSlot.lstar] = 0x10000 + rng.next() % 0x10000
    x[SystemSlot.star] = 0x23 << 48 | 0x10 << 32
    x[SystemSlot.flagMask] = rng.next() & 0x4_7700
    x[SystemSlot.kernelGSBase] = 0x10000 + rng.next() % 0x20000
    if once(in: 2) {
      for number in 0..<4 {
        writeDebug(SystemSlot.debug + number, 0x10000 + rng.next() % 0x20000, hart)
      }
      writeDebug(
        SystemSlot.debugControl, rng.next() & 0xffff_03ff | DebugControl.fixed, hart)
    }
    var flags = rng.next() & (StatusFlags.all | RFlags.interrupt | RFlags.direction) | RFlags.fixed
    if once(in: 6) { flags |= RFlags.trap }
    if once(in: 4) { flags |= RFlags.alignment }
    RFlags.write(x, flags)
    if once(in: 2) {
      x[SystemSlot.privilege] = 3
      x[SystemSlot.selectors + SegmentRegister.cs] = isLong ? 0x33 : 0x23
      x[SystemSlot.selectors + SegmentRegister.ss] = 0x2b
      x[SystemSlot.rights + SegmentRegister.cs] = isLong ? 0xa0fb : 0xc0fb
      x[SystemSlot.rights + SegmentRegister.ss] = 0xc0f3
    }
    flushTranslations(hart)
    Self.updateMode(hart)
  }

  /// Puts a hart in protected mode into virtual-8086 mode: for fuzzing.
  ///
  /// - Parameters:
  ///   - hart: the hart.
  ///   - code: where the code is that it runs, below 1 MiB.
  ///   - rng: what the rest follows from.
  package func fuzzVirtual(
    _ hart: Hart, code: UInt64, _ rng: inout some RandomNumberGenerator
  ) {
    var selectors = (0..<6).map { _ in rng.next() & 0x1fff }
    selectors[SegmentRegister.cs] = code >> 4
    loadVirtual(selectors, hart)
    let privilege = rng.next() & 1 == 0 ? RFlags.ioPrivilege : 0
    RFlags.write(hart.x, RFlags.virtual | privilege | rng.next() & 0xfff)
    hart.x[Slot.pc] = code + rng.next() % 0x4000
    Self.updateMode(hart)
  }

  /// Gives a hart in protected mode segments that are not flat, or puts it into real mode: for fuzzing.
  ///
  /// - Parameters:
  ///   - hart: the hart.
  ///   - isReal: whether it is real mode.
  ///   - code: where the code is that it runs, below 1 MiB.
  ///   - rng: what the rest follows from.
  package func fuzzSegments(
    _ hart: Hart, isReal: Bool, code: UInt64, _ rng: inout some RandomNumberGenerator
  ) {
    let x = hart.x
    if isReal {
      x[SystemSlot.cr0] &= ~(CR0.protection | CR0.paging)
      x[SystemSlot.privilege] = 0
      for register in 0..<6 {
        let selector = rng.next() & 0x1fff
        Segment(selector: selector, rights: 0x93, base: selector << 4, limit: 0xffff).put(
          register, x)
      }
      Segment(selector: code >> 4, rights: 0x9b, base: code, limit: 0xffff).put(
        SegmentRegister.cs, x)
      x[Slot.pc] = code + rng.next() % 0x4000
    } else {
      let privilege = x[SystemSlot.privilege] << 5
      for register in [SegmentRegister.es, SegmentRegister.ss, SegmentRegister.ds] {
        guard rng.next() & 1 == 0 else { continue }
        let kinds: [UInt64] = [0x4093, 0xc093, 0x4097, 0x0093]
        Segment(
          selector: x[SystemSlot.selectors + register],
          rights: kinds[Int(rng.next() & 3)] | privilege, base: rng.next() % 0x20000,
          limit: rng.next() % 0x40000
        ).put(register, x)
      }
      if rng.next() & 3 == 0 {
        // 16-bit code, or 32-bit code, with a base.
        Segment(
          selector: x[SystemSlot.selectors + SegmentRegister.cs],
          rights: (rng.next() & 1 == 0 ? 0x409b : 0x9b) | privilege, base: code, limit: 0xffff
        ).put(SegmentRegister.cs, x)
      }
    }
    Self.updateMode(hart)
  }
}
