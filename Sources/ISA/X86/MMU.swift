import Engine

/// Fields of a paging-structure entry.
///
/// - SeeAlso: Intel SDM volume 3, '4-Level Paging and 5-Level Paging'.
enum PTE {
  static let present: UInt64 = 1 << 0
  static let write: UInt64 = 1 << 1
  static let user: UInt64 = 1 << 2
  static let accessed: UInt64 = 1 << 5
  static let dirty: UInt64 = 1 << 6
  /// In entries that may lead to a table: a page.
  static let large: UInt64 = 1 << 7
  static let global: UInt64 = 1 << 8
  static let noExecute: UInt64 = 1 << 63
  /// The physical address.
  static let address: UInt64 = 0x000f_ffff_ffff_f000
  /// Bits of it that no physical address has.
  static let reserved: UInt64 = X64.reservedAddress & address

  /// The bits that must be zero in an entry.
  static func reserved(_ entry: UInt64, level: Int, noExecute hasNX: Bool) -> Bool {
    var mask = reserved | (hasNX ? 0 : noExecute)
    if level > 0, entry & large != 0 {
      // Bit 12 of a large page is the PAT's.
      mask |= level > 2 ? large : (1 << UInt64(12 + 9 * level)) &- (1 << 13)
    }
    return entry & mask != 0
  }
}

/// The TLBs of a hart: one for each set of rules that an access can be under.
enum MMUIndex {
  static let user = 0
  static let supervisor = 1
  /// With RFLAGS.AC: SMAP does not apply.
  static let supervisorAC = 2
  /// With RFLAGS.AC and CR0.AM: an access that is not aligned is #AC.
  static let userAC = 3
  static let count = 4

  /// Whether it is one of programs.
  static func isUser(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[Slot.mmuIndex] == user || x[Slot.mmuIndex] == userAC
  }
}

/// Bits of a page fault's error code.
///
/// - SeeAlso: Intel SDM volume 3, 'Page-Fault Exceptions'.
enum FaultCode {
  static let present: UInt64 = 1
  static let write: UInt64 = 2
  static let user: UInt64 = 4
  static let reserved: UInt64 = 8
  static let fetch: UInt64 = 16
}

extension X64 {
  /// Whether the upper bits of an address are copies of the highest one that is translated.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Canonical Addressing'.
  @inline(__always)
  static func isCanonical(_ va: UInt64, _ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.cr4] & CR4.fiveLevels != 0
      ? (va &+ (1 << 56)) &>> 57 == 0 : (va &+ 0x8000_0000_0000) &>> 48 == 0
  }

  /// Translates an address as the manual says.
  public func walk(_ va: UInt64, _ access: Access, for hart: Hart) -> Translation? {
    let x = hart.x
    // Addresses of 16- and 32-bit code wrap.
    let va = Self.isLegacy(x) ? va & 0xffff_ffff : va
    guard Self.isCanonical(va, x) else {
      Self.raise(x, access != .fetch && isStackAccess(hart) ? 12 : 13)
      return nil
    }
    if access != .fetch, leavesCanonical(va, hart) {
      Self.raise(x, isStackAccess(hart) ? 12 : 13)
      return nil
    }
    if access == .fetch, x[Slot.translationFlags] & TranslationFlag.segmented != 0,
      !Segment(SegmentRegister.cs, of: x).holds(Self.codeOffset(va, x), 1)
    {
      Self.raise(x, 13)
      if va == x[Slot.pc], x[Slot.block] == 0 { Self.breakBefore(hart) }
      return nil
    }
    guard var found = translate(va, access, hart) else {
      // A breakpoint at an instruction comes before the faults of its fetch.
      if access == .fetch, va == x[Slot.pc], x[Slot.block] == 0 { Self.breakBefore(hart) }
      return nil
    }
    let watched = Self.watches(va, x)
    let isChecked = watched.data || x[Slot.mmuIndex] == MMUIndex.userAC
    if isChecked {
      found.readable = false
      found.writable = false
    }
    if watched.execution { found.executable = false }
    found.wholePage = !(access == .fetch ? watched.execution : isChecked)
    return found
  }

  /// The same without regard to breakpoints.
  private func translate(_ va: UInt64, _ access: Access, _ hart: Hart) -> Translation? {
    let x = hart.x
    if x[SystemSlot.cr0] & CR0.paging == 0 {
      if Self.isMapped(x) { return flat(va, access, hart) }
      return Translation(pa: va, readable: true, writable: true, executable: true)
    }
    guard let found = leaf(va, access, hart) else { return nil }
    if found.level > 0 { largePages.note(va, found.level) }
    let offset = (UInt64(1) << UInt64(12 + 9 * found.level)) &- 1
    let entry = found.entry
    return Translation(
      pa: entry & PTE.address & ~offset | va & offset, readable: allows(entry, .load, x),
      writable: entry & PTE.dirty != 0 && allows(entry, .store, x),
      executable: allows(entry, .fetch, x))
  }

  /// Whether an access of the present mode may use a page.
  ///
  /// Rights of all levels are in `entry`.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Determination of Access Rights'.
  func allows(
    _ entry: UInt64, _ access: Access, _ x: UnsafeMutablePointer<UInt64>
  ) -> Bool {
    let userPage = entry & PTE.user != 0
    let cr4 = x[SystemSlot.cr4]
    if MMUIndex.isUser(x) {
      guard userPage else { return false }
      switch access {
      case .load: return true
      case .store: return entry & PTE.write != 0
      case .fetch: return entry & PTE.noExecute == 0
      }
    }
    if access == .fetch {
      return entry & PTE.noExecute == 0 && !(userPage && cr4 & CR4.executionPrevention != 0)
    }
    if userPage, cr4 & CR4.accessPrevention != 0, x[Slot.mmuIndex] != MMUIndex.supervisorAC {
      return false
    }
    return access == .load || entry & PTE.write != 0
      || x[SystemSlot.cr0] & CR0.writeProtect == 0
  }

  /// The page of an address, with the rights of all levels in its entry, from the architectural TLB
  /// where one is modelled.
  private func leaf(_ va: UInt64, _ access: Access, _ hart: Hart) -> ArchitecturalTLB.Entry? {
    let x = hart.x
    if hart.cacheModel == .architectural, let cached = tlb.find(va, space: context(x)) {
      // A processor looks at the tables again before it faults, and to set D.
      if allows(cached.entry, access, x), access != .store || cached.entry & PTE.dirty != 0 {
        return cached
      }
    }
    guard let found = lookUp(va, access, hart) else { return nil }
    if hart.cacheModel == .architectural {
      if tlb.isFull {
        flushTranslations(hart)
        hart.requestLook()
      }
      let isGlobal = found.entry & PTE.global != 0 && x[SystemSlot.cr4] & CR4.globalPages != 0
      tlb.insert(found, va, space: isGlobal ? ArchitecturalTLB.globalSpace : context(x))
    }
    return found
  }

  /// The current PCID.
  private func context(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    x[SystemSlot.cr4] & CR4.contexts != 0 ? x[SystemSlot.cr3] & 0xfff : 0
  }

  /// Reads the tables, checks rights, and sets accessed and dirty bits.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Linear-Address Translation with 4-Level Paging and 5-Level
  ///   Paging' and 'Accessed and Dirty Flags'.
  private func lookUp(_ va: UInt64, _ access: Access, _ hart: Hart) -> ArchitecturalTLB.Entry? {
    let x = hart.x
    guard Self.isLong(x) else { return lookUpLegacy(va, access, hart) }
    let hasNX = x[SystemSlot.efer] & EFER.noExecute != 0
    var level = x[SystemSlot.cr4] & CR4.fiveLevels != 0 ? 4 : 3
    var table = x[SystemSlot.cr3] & PTE.address
    var rights = PTE.write | PTE.user
    var noExecute: UInt64 = 0
    // Entries on the way that no access has gone through yet.
    var untouched: [(address: UInt64, entry: UInt64)] = []
    while true {
      let address = table &+ (va >> UInt64(12 + 9 * level) & 511) << 3
      // Where there is no memory all bits read as ones.
      let entry = hart.ram.load(address, as: UInt64.self) ?? .max
      if hart.ram.contains(address, 8) { hart.notePageTable(address) }
      guard entry & PTE.present != 0 else { return pageFault(va, access, 0, hart) }
      if PTE.reserved(entry, level: level, noExecute: hasNX) {
        return pageFault(va, access, FaultCode.present | FaultCode.reserved, hart)
      }
      rights &= entry
      noExecute |= entry & PTE.noExecute
      if level > 0, entry & PTE.large == 0 {
        if entry & PTE.accessed == 0 { untouched.append((address, entry | PTE.accessed)) }
        table = entry & PTE.address
        level -= 1
        continue
      }
      let effective = entry & ~(PTE.write | PTE.user) | rights | noExecute
      guard allows(effective, access, x) else {
        return pageFault(va, access, FaultCode.present, hart)
      }
      let marks = PTE.accessed | (access == .store ? PTE.dirty : 0)
      if entry | marks != entry { untouched.append((address, entry | marks)) }
      for (address, entry) in untouched { hart.ram.updateTableEntry(address, entry, by: hart) }
      return ArchitecturalTLB.Entry(entry: effective | marks, level: level, address: address)
    }
  }

  func pageFault<T>(
    _ va: UInt64, _ access: Access, _ code: UInt64, _ hart: Hart
  ) -> T? {
    let x = hart.x
    var code = code
    if access == .store { code |= FaultCode.write }
    if MMUIndex.isUser(x) { code |= FaultCode.user }
    if access == .fetch,
      x[SystemSlot.efer] & EFER.noExecute != 0
        || x[SystemSlot.cr4] & CR4.executionPrevention != 0
    {
      code |= FaultCode.fetch
    }
    Self.raise(x, 14, code)
    x[Slot.tval] = va
    return nil
  }

  /// Looks in the flat map.
  private func flat(_ va: UInt64, _ access: Access, _ hart: Hart) -> Translation? {
    guard let region = regions.first(where: { va &- $0.va < $0.size }) else {
      return pageFault(va, access, 0, hart)
    }
    let needed: PageProtection =
      access == .fetch ? .execute : access == .store ? .write : .read
    guard region.protection.contains(needed) else {
      return pageFault(va, access, FaultCode.present, hart)
    }
    return Translation(
      pa: region.pa &+ (va &- region.va), readable: region.protection.contains(.read),
      writable: region.protection.contains(.write),
      executable: region.protection.contains(.execute))
  }

  /// Nothing answers at the address: without paging it is as if the page were not there, else a
  /// machine check.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Machine-Check Exception (#MC)'.
  public func accessFault(_ va: UInt64, _ access: Access, for hart: Hart) {
    if Self.isMapped(hart.x) {
      let _: Translation? = pageFault(va, access, 0, hart)
    } else {
      Self.raise(hart.x, 18)
    }
  }

  /// Whether the access at `va`, in the last canonical page, has its other end beyond.
  ///
  /// Both ends are looked at before any table is.
  private func leavesCanonical(_ va: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    let last: UInt64 =
      x[SystemSlot.cr4] & CR4.fiveLevels != 0 ? 0xff_ffff_ffff_ffff : 0x7fff_ffff_ffff
    guard va | 4095 == last, x[Slot.block] != 0,
      let op = UnsafePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return false }
    return va &+ (accessSize(op.pointee) ?? 1) &- 1 > last
  }

  /// The bytes that a micro-op accesses.
  private func accessSize(_ op: MicroOp) -> UInt64? {
    switch op.op {
    case .ld16s, .ld16u, .st16, .ldm16u: 2
    case .ld32s, .ld32u, .st32, .ldm32u, .ldx32u, .stx32: 4
    case .ldm64: op.c == 32 ? 32 : 8
    case .ld64, .st64, .ldx64, .stx64, .addLd64: 8
    case .ldv, .stv: op.c == 32 ? 32 : 16
    default: nil
    }
  }

  /// Whether a program's access is not aligned as CR0.AM and RFLAGS.AC ask.
  ///
  /// Vectors of 16 bytes count as two words; those that must be aligned are checked before.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Alignment Check Exception (#AC)'.
  func isMisaligned(_ va: UInt64, _ part: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    guard x[Slot.mmuIndex] == MMUIndex.userAC else { return false }
    var size = part
    // What crosses a page comes in two parts.
    if let op = UnsafePointer<MicroOp>(bitPattern: UInt(x[Slot.op])),
      let whole = accessSize(op.pointee)
    {
      size = min(whole, 8)
    }
    return size & (size &- 1) != 0 || va & (size &- 1) != 0
  }

  /// Whether the access being made goes through the stack segment.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Stack Fault Exception (#SS)'.
  private func isStackAccess(_ hart: Hart) -> Bool {
    let x = hart.x
    if x[SystemSlot.stackAccess] != 0 { return true }
    guard x[Slot.block] != 0,
      let op = UnsafePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return false }
    return op.pointee.op != .helper && op.pointee.op != .helperExit && op.pointee.e == 1
  }

  // MARK: Invalidation

  /// Forgets all translations, global ones too.
  func flushTranslations(_ hart: Hart) {
    tlb.removeAll()
    forgetTranslations(hart)
  }

  /// Forgets what the hart's own TLB holds: it is filled again from the architectural one.
  func forgetTranslations(_ hart: Hart) {
    hart.flushTLB()
    largePages.removeAll()
  }

  /// INVLPG.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'INVLPG - Invalidate TLB Entries'.
  func invalidate(page va: UInt64, _ hart: Hart) {
    if hart.cacheModel == .architectural {
      let space = context(hart.x)
      tlb.remove(va: va) { $0 == space || $0 == ArchitecturalTLB.globalSpace }
    }
    if largePages.contains(va) { forgetTranslations(hart) } else { hart.flushTLB(page: va) }
  }

  /// INVPCID.
  ///
  /// - Parameters:
  ///   - type: 0 an address of a context, 1 a context, 2 everything, 3 all but global pages.
  ///   - context: the PCID.
  ///   - va: the address of type 0.
  ///   - hart: the hart that executes it.
  /// - SeeAlso: Intel SDM volume 2, 'INVPCID - Invalidate Process-Context Identifier'.
  /// - Returns: `false` for #GP(0).
  func invalidate(type: UInt64, context: UInt64, va: UInt64, _ hart: Hart) -> Bool {
    guard type < 4 else { return false }
    if type < 2 {
      guard context >> 12 == 0 else { return false }
      if hart.x[SystemSlot.cr4] & CR4.contexts == 0, context != 0 { return false }
      if type == 0, !Self.isCanonical(va, hart.x) { return false }
    }
    switch type {
    case 0: tlb.remove(va: va) { $0 == context }
    case 1: tlb.remove(va: nil) { $0 == context }
    case 2: tlb.removeAll()
    default: tlb.remove(va: nil) { $0 != ArchitecturalTLB.globalSpace }
    }
    forgetTranslations(hart)
    return true
  }
}
