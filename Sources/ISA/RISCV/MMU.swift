import Engine

/// Fields of a page-table entry.
///
/// - SeeAlso: RISC-V Privileged ISA Manual, 'Sv39: Page-Based 39-bit Virtual-Memory System'.
enum PTE {
  static let valid: UInt64 = 1
  static let read: UInt64 = 2
  static let write: UInt64 = 4
  static let execute: UInt64 = 8
  static let user: UInt64 = 16
  static let global: UInt64 = 32
  static let accessed: UInt64 = 64
  static let dirty: UInt64 = 128
  /// Bits 63:54 are for extensions that are absent; a set one is a page fault.
  static let reserved: UInt64 = 0xffc0_0000_0000_0000

  static func pa(_ entry: UInt64) -> UInt64 { (entry >> 10 & 0xfff_ffff_ffff) << 12 }
}

/// The TLBs of a hart: one for each set of rules that an access can be under.
enum MMUIndex {
  static let user = 0
  static let supervisor = 1
  static let supervisorSUM = 2
  static let machine = 3
  static let machineMPRV = 4
  static let count = 5
}

/// What the translation of instructions depends on.
enum TranslationFlag {
  /// mstatus.FS.
  static let fpState: UInt64 = 3
  /// Supervisor or machine mode.
  static let privileged: UInt64 = 4
}

extension RV64 {
  /// Chooses TLB and translation flags for the present privilege and status.
  func updateMode(_ hart: Hart) {
    let x = hart.x
    let status = x[SystemSlot.mstatus]
    let index: Int
    switch x[SystemSlot.privilege] {
    case 0: index = MMUIndex.user
    case 1: index = status & Status.sum != 0 ? MMUIndex.supervisorSUM : MMUIndex.supervisor
    default: index = status & Status.mprv != 0 ? MMUIndex.machineMPRV : MMUIndex.machine
    }
    let isPrivileged = x[SystemSlot.privilege] != 0
    hart.setMode(
      mmuIndex: index, flags: status >> 13 & 3 | (isPrivileged ? TranslationFlag.privileged : 0))
  }

  /// The privilege that an access is made with: under mstatus.MPRV not the present one.
  func accessPrivilege(_ access: Access, _ hart: Hart) -> UInt64 {
    let status = hart.x[SystemSlot.mstatus]
    let privilege = hart.x[SystemSlot.privilege]
    guard access != .fetch, privilege == 3, status & Status.mprv != 0 else { return privilege }
    return (status & Status.mpp) >> 11
  }

  /// Translates an address as the manual says.
  public func walk(_ va: UInt64, _ access: Access, for hart: Hart) -> Translation? {
    let x = hart.x
    let status = x[SystemSlot.mstatus]
    let privilege = accessPrivilege(access, hart)
    let mode = x[SystemSlot.satp] >> 60
    guard privilege < 3, mode != 0 else {
      return protect(
        Translation(pa: va, readable: true, writable: true, executable: true), va, access,
        privilege, hart)
    }
    let levels = mode == 9 ? 4 : 3
    // Bits above the top of the range must all equal its highest bit.
    let unused = UInt64(64 - (12 + 9 * levels))
    guard Int64(bitPattern: va &<< unused) &>> Int64(unused) == Int64(bitPattern: va) else {
      return pageFault(va, access, hart)
    }
    guard let found = lookUp(va, access, levels, privilege, hart) else { return nil }
    let entry = found.entry

    // Step 5: may this access use the page?
    let userPage = entry & PTE.user != 0
    let readable =
      entry & PTE.read != 0 || (status & Status.mxr != 0 && entry & PTE.execute != 0)
    let dataAllowed = privilege == 0 ? userPage : !userPage || status & Status.sum != 0
    let fetchAllowed = userPage == (privilege == 0)
    let allowed: Bool
    switch access {
    case .load: allowed = dataAllowed && readable
    case .store: allowed = dataAllowed && entry & PTE.write != 0
    case .fetch: allowed = fetchAllowed && entry & PTE.execute != 0
    }
    guard allowed else { return pageFault(va, access, hart) }

    // Step 7: accessed and dirty, set by hardware.
    var updated = entry | PTE.accessed
    if access == .store { updated |= PTE.dirty }
    if updated != entry {
      guard hart.ram.contains(found.address, 8), checkPMP(found.address, 8, .store, 1, hart).allowed
      else {
        accessFault(va, access, for: hart)
        return nil
      }
      guard hart.ram.load(found.address, as: UInt64.self) == entry else {
        // The entry changed since it was cached: the manual starts the walk again.
        forgetAll(hart)
        return walk(va, access, for: hart)
      }
      // The walker's own doing is no reason to forget the page.
      hart.ram.updateTableEntry(found.address, updated, by: hart)
      remember(
        ArchitecturalTLB.Entry(entry: updated, level: found.level, address: found.address), va, hart
      )
    }
    if found.level > 0 { superpages.note(va, found.level) }
    let offset = (UInt64(1) << UInt64(12 + 9 * found.level)) &- 1
    let pa = PTE.pa(entry) & ~offset | va & offset
    return protect(
      Translation(
        pa: pa, readable: dataAllowed && readable,
        writable: dataAllowed && entry & PTE.write != 0 && updated & PTE.dirty != 0,
        executable: fetchAllowed && entry & PTE.execute != 0),
      va, access, privilege, hart)
  }

  /// Steps 1 to 4 and 6 of the manual's walk: the leaf for `va`, from the architectural TLB where
  /// one is modelled.
  ///
  /// - SeeAlso: RISC-V Privileged ISA Manual, 'Virtual Address Translation Process'.
  private func lookUp(
    _ va: UInt64, _ access: Access, _ levels: Int, _ privilege: UInt64, _ hart: Hart
  ) -> ArchitecturalTLB.Entry? {
    if hart.cacheModel == .architectural, let cached = tlb.find(va, space: space(hart)) {
      return cached
    }
    var table = (hart.x[SystemSlot.satp] & 0xfff_ffff_ffff) << 12
    var level = levels - 1
    while level >= 0 {
      let address = table &+ (va >> UInt64(12 + 9 * level) & 0x1ff) << 3
      guard checkPMP(address, 8, .load, 1, hart).allowed,
        let entry = hart.ram.load(address, as: UInt64.self)
      else {
        accessFault(va, access, for: hart)
        return nil
      }
      hart.notePageTable(address)
      if entry & PTE.valid == 0 || entry & PTE.reserved != 0
        || entry & (PTE.read | PTE.write) == PTE.write
      {
        return pageFault(va, access, hart)
      }
      if entry & (PTE.read | PTE.execute) != 0 {
        // A superpage's low page-number bits must be zero.
        let low = (UInt64(1) << UInt64(12 + 9 * level)) &- 4096
        guard PTE.pa(entry) & low == 0 else { return pageFault(va, access, hart) }
        let found = ArchitecturalTLB.Entry(entry: entry, level: level, address: address)
        remember(found, va, hart)
        return found
      }
      // D, A and U are reserved in entries that lead on.
      guard entry & (PTE.dirty | PTE.accessed | PTE.user) == 0 else {
        return pageFault(va, access, hart)
      }
      table = PTE.pa(entry)
      level -= 1
    }
    return pageFault(va, access, hart)
  }

  private func pageFault<T>(_ va: UInt64, _ access: Access, _ hart: Hart) -> T? {
    switch access {
    case .fetch: hart.raise(12, va)
    case .load: hart.raise(13, va)
    case .store: hart.raise(15, va)
    }
    return nil
  }

  /// Makes the access fault of an access pending.
  public func accessFault(_ va: UInt64, _ access: Access, for hart: Hart) {
    switch access {
    case .fetch: hart.raise(1, va)
    case .load: hart.raise(5, va)
    case .store: hart.raise(7, va)
    }
  }

  // MARK: The architectural TLB

  /// The current address space.
  private func space(_ hart: Hart) -> UInt64 { hart.x[SystemSlot.satp] >> 44 & 0xffff }

  private func remember(_ found: ArchitecturalTLB.Entry, _ va: UInt64, _ hart: Hart) {
    guard hart.cacheModel == .architectural else { return }
    if tlb.isFull { forgetAll(hart) }
    let isGlobal = found.entry & PTE.global != 0
    tlb.insert(found, va, space: isGlobal ? ArchitecturalTLB.globalSpace : space(hart))
  }

  /// Makes room.
  ///
  /// The hart's own TLB never holds what the architectural one does not, so that the latter says it
  /// all.
  private func forgetAll(_ hart: Hart) {
    tlb.removeAll()
    hart.flushTLB()
    hart.requestLook()
    superpages.removeAll()
  }

  /// `sfence.vma`: forgets what the operands select.
  ///
  /// - Parameters:
  ///   - va: an address, or `nil` for all.
  ///   - asid: an address space, or `nil` for all and global entries too.
  ///   - hart: the hart that executes it.
  /// - SeeAlso: RISC-V Privileged ISA Manual, 'Supervisor Memory-Management Fence Instruction'.
  public func fence(va: UInt64?, asid: UInt64?, _ hart: Hart) {
    if hart.cacheModel == .architectural {
      tlb.remove(va: va) { space in asid.map { space == $0 & 0xffff } ?? true }
    }
    // The hart's TLB holds superpages in parts, all of which go with the one entry.
    if let va, hart.cacheModel == .coherent, !superpages.contains(va) {
      hart.flushTLB(page: va)
    } else {
      hart.flushTLB()
      superpages.removeAll()
    }
  }

  // MARK: Physical memory protection

  /// Narrows a translation by physical memory protection.
  ///
  /// `nil` with an access fault pending.
  private func protect(
    _ translation: Translation, _ va: UInt64, _ access: Access, _ privilege: UInt64, _ hart: Hart
  ) -> Translation? {
    if pmpAll { return translation }
    let page = translation.pa & ~4095
    let whole = pmpMatch(page, 4096, hart)
    if case .partial = whole {
      let verdict = checkPMP(translation.pa, access == .fetch ? 2 : 1, access, privilege, hart)
      guard verdict.allowed else {
        accessFault(va, access, for: hart)
        return nil
      }
      var narrowed = translation
      narrowed.wholePage = false
      return narrowed
    }
    var narrowed = translation
    let rights = pmpRights(whole, privilege, hart)
    narrowed.readable = narrowed.readable && rights & 1 != 0
    narrowed.writable = narrowed.writable && rights & 2 != 0
    narrowed.executable = narrowed.executable && rights & 4 != 0
    let needed: UInt64 = access == .load ? 1 : access == .store ? 2 : 4
    guard rights & needed != 0 else {
      accessFault(va, access, for: hart)
      return nil
    }
    return narrowed
  }

  enum PMPMatch {
    case none
    case entry(Int)
    case partial
  }

  /// The lowest-numbered entry that touches the bytes.
  ///
  /// - SeeAlso: RISC-V Privileged ISA Manual, 'Physical Memory Protection CSRs' and 'Priority and
  ///   Matching Logic'.
  func pmpMatch(_ pa: UInt64, _ size: UInt64, _ hart: Hart) -> PMPMatch {
    let x = hart.x
    let last = pa &+ size &- 1
    for entry in 0..<SystemRegisters.pmpEntries {
      let configuration = x[SystemSlot.pmpcfg + entry / 8] >> UInt64(entry % 8 * 8)
      let address = x[SystemSlot.pmpaddr + entry]
      let first: UInt64
      let end: UInt64  // inclusive
      switch configuration >> 3 & 3 {
      case 1:
        let from = entry == 0 ? 0 : x[SystemSlot.pmpaddr + entry - 1] << 2
        guard address << 2 > from else { continue }
        first = from
        end = (address << 2) &- 1
      case 2:
        first = address << 2
        end = first &+ 3
      case 3:
        // The run of ones at the bottom of the address says how large the region is.
        let ones = UInt64((~address).trailingZeroBitCount)
        let bytes = UInt64(1) &<< (ones &+ 3)
        first = (address & ~((UInt64(1) &<< ones) &- 1)) << 2 & ~(bytes &- 1)
        end = first &+ bytes &- 1
      default: continue
      }
      if last < first || pa > end { continue }
      return pa >= first && last <= end ? .entry(entry) : .partial
    }
    return .none
  }

  private func pmpRights(_ match: PMPMatch, _ privilege: UInt64, _ hart: Hart) -> UInt64 {
    switch match {
    case .none: return privilege == 3 ? 7 : 0
    case .partial: return 0
    case .entry(let entry):
      let configuration = hart.x[SystemSlot.pmpcfg + entry / 8] >> UInt64(entry % 8 * 8)
      return privilege == 3 && configuration & 0x80 == 0 ? 7 : configuration & 7
    }
  }

  func checkPMP(
    _ pa: UInt64, _ size: UInt64, _ access: Access, _ privilege: UInt64, _ hart: Hart
  ) -> (allowed: Bool, rights: UInt64) {
    if pmpAll { return (true, 7) }
    let rights = pmpRights(pmpMatch(pa, size, hart), privilege, hart)
    let needed: UInt64 = access == .load ? 1 : access == .store ? 2 : 4
    return (rights & needed != 0, rights)
  }

  func writePMPConfiguration(_ register: Int, _ value: UInt64, _ hart: Hart) {
    let slot = SystemSlot.pmpcfg + register
    var result: UInt64 = 0
    for byte in 0..<8 {
      let old = hart.x[slot] >> UInt64(byte * 8) & 0xff
      var new = value >> UInt64(byte * 8) & 0x9f
      // W without R is reserved.
      if new & 3 == 2 { new &= ~2 }
      result |= (old & 0x80 != 0 ? old : new) << UInt64(byte * 8)
    }
    hart.x[slot] = result
    pmpChanged(hart)
  }

  func writePMPAddress(_ entry: Int, _ value: UInt64, _ hart: Hart) {
    func configuration(_ entry: Int) -> UInt64 {
      hart.x[SystemSlot.pmpcfg + entry / 8] >> UInt64(entry % 8 * 8) & 0xff
    }
    guard configuration(entry) & 0x80 == 0 else { return }
    // A locked top-of-range entry locks the address below it too.
    if entry + 1 < SystemRegisters.pmpEntries, configuration(entry + 1) & 0x98 == 0x88 { return }
    hart.x[SystemSlot.pmpaddr + entry] = value & 0x3f_ffff_ffff_ffff
    pmpChanged(hart)
  }

  func pmpChanged(_ hart: Hart) {
    let first = hart.x[SystemSlot.pmpcfg]
    // The usual firmware: entry 0 covers everything with all rights.
    let wide = hart.x[SystemSlot.pmpaddr] >= 0x3f_ffff_ffff_ffff
    pmpAll = wide && (first & 0x9f == 0x1f || first & 0x9f == 0x0f)
    hart.flushTLB()
  }

  /// What firmware does before it enters supervisor mode: one entry that allows everything.
  public func grantAllMemory(_ hart: Hart) {
    hart.x[SystemSlot.pmpaddr] = 0x3f_ffff_ffff_ffff
    hart.x[SystemSlot.pmpcfg] = 0x1f
    pmpChanged(hart)
  }
}

// MARK: Snapshots

extension RV64 {
  /// The architectural TLB.
  public func archive(_ archive: Archive, for hart: Hart) {
    if hart.cacheModel == .architectural { tlb.archive(archive) }
  }

  /// Mode and memory protection follow from the slots.
  public func restored(_ hart: Hart) {
    superpages.removeAll()
    pmpChanged(hart)
    updateMode(hart)
  }
}
