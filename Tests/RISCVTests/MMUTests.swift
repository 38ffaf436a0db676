import Testing

@testable import Engine
@testable import RISCV

/// - SeeAlso: RISC-V Privileged ISA Manual, 'Sv39: Page-Based 39-bit Virtual-Memory System', 'Sv48:
///   Page-Based 48-bit Virtual-Memory System', 'Virtual Address Translation Process', 'Physical
///   Memory Protection', 'Supervisor Memory-Management Fence Instruction'.
@Suite struct MMU {
  private static let page: UInt64 = 0x4000_0000
  private static let rwad = PTE.read | PTE.write | PTE.accessed | PTE.dirty
  private static let rwxad = rwad | PTE.execute

  private func rig(_ caches: CacheModel = .coherent, levels: Int = 3) throws -> Rig {
    let rig = try Rig(caches)
    rig.enterPaging(levels: levels)
    return rig
  }

  // MARK: The walk

  @Test(arguments: [(3, 0), (3, 1), (3, 2), (4, 0), (4, 1), (4, 2), (4, 3)], CacheModel.allCases)
  func everyLevelMapsItsSize(tree: (levels: Int, level: Int), caches: CacheModel) throws {
    let (levels, level) = tree
    let rig = try rig(caches, levels: levels)
    let size: UInt64 = 4096 << UInt64(9 * level)
    // A superpage larger than RAM can only lead to address 0.
    let pa: UInt64 = size > Rig.size ? 0 : level == 0 ? Rig.data : 0x20_0000 * UInt64(level)
    let va = levels == 3 ? Self.page * 4 : 1 << 40
    rig.map(va, to: pa, Self.rwad, level: level, levels: levels)
    let offset: UInt64 = level == 0 ? 0xff8 : 0x12_3ff8
    rig.poke(pa + offset, 0xabcd)
    rig["a1"] = va + offset
    rig["a2"] = 0x77
    rig.run([.load(Reg.a0, Reg.a1), .store(Reg.a2, Reg.a1, -8)])
    #expect(rig["a0"] == 0xabcd)
    #expect(rig.load(pa + offset - 8) == 0x77)
  }

  @Test(arguments: [1, 2, 3])
  func aMisalignedSuperpageFaults(level: Int) throws {
    let levels = 4
    let rig = try rig(levels: levels)
    rig.map(
      1 << 40, to: 0x20_0000 << UInt64(9 * (level - 1)) | 0x1000, Self.rwad, level: level, levels: 4
    )
    rig["a1"] = 1 << 40
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig.fault == "13 0x10000000000")
  }

  @Test func entriesThatAreNoneFault() throws {
    let leaf = Self.rwad
    let cases: [(entry: UInt64, what: String)] = [
      (leaf, "not valid"),
      (PTE.valid | PTE.write | PTE.accessed | PTE.dirty, "writable and not readable"),
      (PTE.valid | PTE.write | PTE.execute | PTE.accessed, "writable and not readable"),
      (PTE.valid, "leads on at the last level"),
      (PTE.valid | leaf | 1 << 63, "N"), (PTE.valid | leaf | 1 << 61, "PBMT"),
      (PTE.valid | leaf | 1 << 62, "PBMT"), (PTE.valid | leaf | 1 << 54, "reserved"),
      (PTE.valid | leaf | 1 << 60, "reserved"),
    ]
    for (entry, what) in cases {
      for (insn, cause) in [(Insn.load(Reg.a0, Reg.a1), 13), (.store(Reg.a0, Reg.a1), 15)] {
        let rig = try rig()
        rig.ram.store(rig.entry(Self.page), (Rig.data >> 12) << 10 | entry)
        rig["a1"] = Self.page + 8
        rig.run([insn])
        #expect(rig.fault == "\(cause) \(hex(Self.page + 8))", "\(what)")
        #expect(rig["sepc"] == Rig.code)
      }
    }
  }

  /// D, A and U are reserved where an entry leads to another table; so are the high bits.
  @Test(arguments: [PTE.dirty, PTE.accessed, PTE.user, 1 << 54, 1 << 63])
  func reservedBitsOnTheWayFault(bit: UInt64) throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.data, Self.rwad)
    let upper = rig.entry(Self.page, level: 1)
    rig.ram.store(upper, rig.load(upper) | bit)
    rig["a1"] = Self.page
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig.fault == "13 \(hex(Self.page))")
  }

  @Test func softwareBitsMeanNothing() throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.data, Self.rwad | 3 << 8)
    rig.poke(Rig.data, 5)
    rig["a1"] = Self.page
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig["a0"] == 5)
  }

  @Test(
    arguments: [
      (3, 0x40_0000_0000), (3, 0xffff_ffbf_ffff_f000), (3, 0x8000_0000_0000_0000),
      (4, 0x8000_0000_0000), (4, 0xffff_7fff_ffff_f000),
    ] as [(Int, UInt64)])
  func addressesOutOfRangeFault(levels: Int, va: UInt64) throws {
    let rig = try rig(levels: levels)
    // What the low bits name is mapped.
    rig.map(va, to: Rig.data, Self.rwxad, levels: levels)
    rig["a1"] = va
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig.fault == "13 \(hex(va))")
    rig["pc"] = Rig.code
    rig.run([.store(Reg.a0, Reg.a1)])
    #expect(rig.fault == "15 \(hex(va))")
    rig.run([Insn(op: .jalr, rs1: Reg.a1), .nop])
    #expect(rig.fault == "12 \(hex(va))")
    #expect(rig["sepc"] == va)
  }

  @Test func theUpperHalfIsMapped() throws {
    let rig = try rig()
    let va: UInt64 = 0xffff_ffc0_0000_0000
    rig.map(va, to: Rig.data, Self.rwad)
    rig.poke(Rig.data, 9)
    rig["a1"] = va
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig["a0"] == 9)
  }

  /// A table where there is no memory is an access fault of the original kind.
  @Test func tablesOutsideOfMemoryAreAccessFaults() throws {
    let rig = try rig()
    rig.ram.store(rig.entry(Self.page, level: 1), (Rig.nowhere >> 12) << 10 | PTE.valid)
    rig["a1"] = Self.page
    for (insn, cause) in [(Insn.load(Reg.a0, Reg.a1), 5), (.store(Reg.a0, Reg.a1), 7)] {
      rig.run([insn])
      #expect(rig.fault == "\(cause) \(hex(Self.page))")
    }
    rig.run([Insn(op: .jalr, rs1: Reg.a1), .nop])
    #expect(rig.fault == "1 \(hex(Self.page))")
  }

  @Test func pagesOutsideOfMemoryAreAccessFaults() throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.nowhere, Self.rwxad)
    rig["a1"] = Self.page
    for (insn, cause) in [(Insn.load(Reg.a0, Reg.a1), 5), (.store(Reg.a0, Reg.a1), 7)] {
      rig.run([insn])
      #expect(rig.fault == "\(cause) \(hex(Self.page))")
    }
    rig.run([Insn(op: .jalr, rs1: Reg.a1), .nop])
    #expect(rig.fault == "1 \(hex(Self.page))")
  }

  // MARK: Accessed and dirty

  @Test(arguments: CacheModel.allCases)
  func accessedAndDirtyAreSetWhenDue(caches: CacheModel) throws {
    let rig = try rig(caches)
    rig.map(Self.page, to: Rig.data, PTE.read | PTE.write)
    let entry = rig.entry(Self.page)
    rig["a1"] = Self.page
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig.load(entry) & (PTE.accessed | PTE.dirty) == PTE.accessed)
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig.load(entry) & PTE.dirty == 0)
    rig.run([.store(Reg.a0, Reg.a1)])
    #expect(rig.load(entry) & PTE.dirty != 0)
  }

  @Test func whatFaultsSetsNothing() throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.data, PTE.read)
    let before = rig.load(rig.entry(Self.page))
    rig["a1"] = Self.page
    rig.run([.store(Reg.a0, Reg.a1)])
    #expect(rig.fault == "15 \(hex(Self.page))")
    #expect(rig.load(rig.entry(Self.page)) == before)
  }

  @Test func fetchesSetAccessed() throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.data, PTE.execute)
    rig.put(Rig.data, [.li(Reg.a0, 3)])
    rig["a1"] = Self.page
    rig.run([Insn(op: .jalr, rs1: Reg.a1), .nop])
    #expect(rig["a0"] == 3)
    #expect(rig.load(rig.entry(Self.page)) & (PTE.accessed | PTE.dirty) == PTE.accessed)
  }

  /// An amo is a store for permissions, even where it would only be read.
  @Test func atomicsAreStores() throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.data, PTE.read | PTE.accessed)
    rig["a1"] = Self.page
    rig.run([Insn(op: .amoadd_d, rd: Reg.a0, rs1: Reg.a1)])
    #expect(rig.fault == "15 \(hex(Self.page))")
    rig.run([Insn(op: .sc_d, rd: Reg.a0, rs1: Reg.a1)])
    #expect(rig.fault == "15 \(hex(Self.page))")
    rig.run([Insn(op: .lr_d, rd: Reg.a0, rs1: Reg.a1)])
    #expect(rig["pc"] == Rig.code + 4)
  }

  // MARK: Permissions

  /// Everything a leaf can allow, for every kind of access, in both modes, under SUM and MXR.
  @Test(arguments: CacheModel.allCases)
  func permissionsAreThoseOfTheTable(caches: CacheModel) throws {
    for bits in UInt64(0)..<16 where bits & 3 != 2 && bits & 7 != 0 {
      let (r, w, x, u) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0)
      for supervisor in [false, true] {
        for sum in [false, true] {
          for mxr in [false, true] {
            let data = supervisor ? !u || sum : u
            try check(
              caches, bits, supervisor, sum, mxr, load: data && (r || (mxr && x)),
              store: data && w, fetch: x && u != supervisor)
          }
        }
      }
    }
  }

  private func check(
    _ caches: CacheModel, _ bits: UInt64, _ supervisor: Bool, _ sum: Bool, _ mxr: Bool, load: Bool,
    store: Bool, fetch: Bool
  ) throws {
    let rig = try Rig(caches)
    rig.enterPaging()
    // The code is reached in either mode at an address of its own.
    let user = supervisor ? 0 : PTE.user
    rig.map(0x5000, to: Rig.code, PTE.read | PTE.execute | PTE.accessed | user)
    rig.map(
      Self.page, to: Rig.data,
      bits << 1 & (PTE.read | PTE.write | PTE.execute) | (bits & 8) << 1 | PTE.accessed | PTE.dirty)
    rig["mstatus"] = (sum ? Status.sum : 0) | (mxr ? Status.mxr : 0)
    let what = "RWXU=\(bits) supervisor \(supervisor) SUM \(sum) MXR \(mxr)"
    func attempt(_ insns: [Insn], _ cause: Int, _ allowed: Bool) {
      rig.put(Rig.code, insns)
      rig.put(Rig.data, [.nop, .nop])
      rig.hart.synchronizeInstructionFetch()
      // A trap may have cleared nothing of these, but changed the mode.
      rig["priv"] = supervisor ? 1 : 0
      rig["pc"] = 0x5000
      rig["a1"] = Self.page
      rig.step(insns.count)
      let faulted = rig.fault == "\(cause) \(hex(Self.page))"
      #expect(faulted != allowed, "\(what): \(insns[0].op), \(rig.fault)")
    }
    attempt([.load(Reg.a0, Reg.a1)], 13, load)
    attempt([.store(Reg.a0, Reg.a1)], 15, store)
    attempt([Insn(op: .jalr, rs1: Reg.a1), .nop], 12, fetch)
  }

  @Test func modifyPrivilegeAppliesToDataOnly() throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.data, Self.rwad)
    rig.map(Self.page + 0x1000, to: Rig.data + 0x1000, Self.rwad | PTE.user)
    rig.poke(Rig.data, 0x11)
    rig.poke(Rig.data + 0x1000, 0x22)
    rig["priv"] = 3
    rig["medeleg"] = 0
    func attempt(_ mpp: UInt64, _ status: UInt64, _ va: UInt64) -> String {
      rig["mstatus"] = Status.mprv | mpp << 11 | status
      rig["a1"] = va
      rig["a0"] = 0
      rig.run([.load(Reg.a0, Reg.a1)])
      let failed = rig["pc"] == Rig.machineVector
      return failed ? "\(rig["mcause"]) \(hex(rig["mtval"]))" : hex(rig["a0"])
    }
    #expect(attempt(1, 0, Self.page) == "0x11")
    #expect(attempt(1, 0, Self.page + 0x1000) == "13 \(hex(Self.page + 0x1000))")
    #expect(attempt(1, Status.sum, Self.page + 0x1000) == "0x22")
    #expect(attempt(0, 0, Self.page) == "13 \(hex(Self.page))")
    #expect(attempt(0, 0, Self.page + 0x1000) == "0x22")
    // Machine mode is never translated.
    #expect(attempt(3, 0, Rig.data) == "0x11")
    #expect(attempt(3, 0, Self.page) == "5 \(hex(Self.page))")
  }

  // MARK: Across pages

  @Test(arguments: CacheModel.allCases)
  func accessesAcrossPagesWorkWhereverThePagesAre(caches: CacheModel) throws {
    let rig = try rig(caches)
    rig.map(Self.page, to: Rig.data + 0x3000, Self.rwad)
    rig.map(Self.page + 0x1000, to: Rig.data, Self.rwad)
    rig["a2"] = 0x1122_3344_5566_7788
    for offset in UInt64(0xff9)...0xfff {
      rig["a1"] = Self.page + offset
      rig.run([.store(Reg.a2, Reg.a1), .load(Reg.a0, Reg.a1)])
      #expect(rig["a0"] == 0x1122_3344_5566_7788)
      let low = rig.ram.bytes(Rig.data + 0x3000 + offset, Int(0x1000 - offset)) ?? []
      #expect(low.first == 0x88)
      #expect(rig.ram.bytes(Rig.data + offset - 0xff9, 1) == [0x11])
    }
  }

  @Test(arguments: CacheModel.allCases)
  func aFaultOnTheSecondPageWritesNothing(caches: CacheModel) throws {
    for second in [0, PTE.read | PTE.accessed] {
      let rig = try rig(caches)
      rig.map(Self.page, to: Rig.data, Self.rwad)
      if second != 0 { rig.map(Self.page + 0x1000, to: Rig.data + 0x3000, second) }
      rig.poke(Rig.data + 0xff8, .max)
      rig.poke(Rig.data + 0x3000, .max)
      rig["a1"] = Self.page + 0xffc
      for op in [RISCV.Op.sd, .fsd] {
        rig.run([Insn(op: op, rs1: Reg.a1, rs2: 0)])
        #expect(rig.fault == "15 \(hex(Self.page + 0x1000))")
        #expect(rig.load(Rig.data + 0xff8) == .max)
        #expect(rig.load(Rig.data + 0x3000) == .max)
      }
      rig["a0"] = 7
      rig.run([.load(Reg.a0, Reg.a1)])
      if second == 0 {
        #expect(rig.fault == "13 \(hex(Self.page + 0x1000))")
        #expect(rig["a0"] == 7)
      } else {
        #expect(rig["a0"] == .max)
      }
      // The first page's fault comes first.
      rig["a1"] = Self.page - 4
      rig.run([.load(Reg.a0, Reg.a1)])
      #expect(rig.fault == "13 \(hex(Self.page - 4))")
    }
  }

  @Test func anInstructionAcrossPagesFaultsOnItsSecond() throws {
    let rig = try rig()
    rig.map(Self.page, to: Rig.data, PTE.read | PTE.execute | PTE.accessed)
    rig.put(Rig.data + 0xffc, [Insn(op: .addi, rd: 5, rs1: 5, length: 2, imm: 1)])
    rig.put(Rig.data + 0xffe, [.li(Reg.a0, 42)])
    rig["a1"] = Self.page + 0xffc
    let before = rig.hart.count
    rig.run([Insn(op: .jalr, rs1: Reg.a1), .nop, .nop])
    #expect(rig.fault == "12 \(hex(Self.page + 0x1000))")
    #expect(rig["sepc"] == Self.page + 0xffe)
    #expect(rig.hart.count == before + 3)
    #expect(rig.hart.x[Slot.exceptions] == 1)
  }

  /// Remapping only the page that an instruction ends in.
  @Test(arguments: CacheModel.allCases)
  func theSecondHalfOfAnInstructionFollowsItsPage(caches: CacheModel) throws {
    let rig = try rig(caches)
    let flags = PTE.read | PTE.execute | PTE.accessed
    // Returns to its caller, or behind the caller's next instruction.
    let plain = Encoder.encode(Insn(op: .jalr, rs1: Reg.ra)) ?? 0
    let skipping = Encoder.encode(Insn(op: .jalr, rs1: Reg.ra, imm: 4)) ?? 0
    rig.ram.store(Rig.data + 0xffe, UInt16(truncatingIfNeeded: plain))
    rig.ram.store(Rig.data + 0x1000, UInt16(plain >> 16))
    rig.ram.store(Rig.data + 0x2000, UInt16(skipping >> 16))
    rig.map(Self.page, to: Rig.data, flags)
    rig.map(Self.page + 0x1000, to: Rig.data + 0x1000, flags)
    let call = Insn(op: .jalr, rd: Reg.ra, rs1: Reg.a1)
    let count = Insn(op: .addi, rd: Reg.a0, rs1: Reg.a0, imm: 1)
    rig["a0"] = 0
    rig["a1"] = Self.page + 0xffe
    rig["a2"] = Self.page + 0x1000
    rig.put(Rig.code, [call, count, Insn(op: .sfence_vma, rs1: Reg.a2), call, count, .nop])
    rig.hart.synchronizeInstructionFetch()
    rig["pc"] = Rig.code
    rig.step(3)
    #expect(rig["a0"] == 1)
    // Straight to memory, as a kernel model does.
    rig.poke(
      rig.entry(Self.page + 0x1000), ((Rig.data + 0x2000) >> 12) << 10 | flags | PTE.valid)
    rig.step(4)
    // Architectural instruction bytes are by physical address: these were never fetched before.
    #expect(rig["a0"] == 1)
    #expect(rig["pc"] == Rig.code + 24)
  }

  // MARK: sfence.vma

  /// In architectural mode a translation stays as it was until the fence.
  @Test func aStaleTranslationStaysUntilTheFence() throws {
    let rig = try rig(.architectural)
    rig.map(Self.page, to: Rig.data, Self.rwad)
    rig.poke(Rig.data, 1)
    rig.poke(Rig.data + 0x1000, 2)
    rig["a1"] = Self.page
    rig.run([.load(Reg.a0, Reg.a1)])
    rig.map(Self.page, to: Rig.data + 0x1000, Self.rwad)
    rig.run([.load(Reg.a0, Reg.a1)])
    #expect(rig["a0"] == 1)
    // Not even a fence.i, a trap or another root changes that.
    rig.run([Insn(op: .fence_i), .load(Reg.a0, Reg.a1)])
    #expect(rig["a0"] == 1)
    rig.run([Insn(op: .sfence_vma), .load(Reg.a0, Reg.a1)])
    #expect(rig["a0"] == 2)
  }

  @Test func aCoherentTranslationChangesAtOnce() throws {
    let rig = try rig(.coherent)
    rig.map(Self.page, to: Rig.data, Self.rwad)
    rig.poke(Rig.data, 1)
    rig.poke(Rig.data + 0x1000, 2)
    rig.map(0x7000, to: rig.entry(Self.page) & ~4095, Self.rwad)
    rig["a1"] = Self.page
    rig["a2"] = 0x7000 + (rig.entry(Self.page) & 4095)
    rig["a3"] = ((Rig.data + 0x1000) >> 12) << 10 | Self.rwad | PTE.valid
    // The hart's own store, and the load right behind it in the same block.
    rig.run([.load(Reg.a0, Reg.a1), .store(Reg.a3, Reg.a2), .load(Reg.a4, Reg.a1)])
    #expect(rig["a0"] == 1)
    #expect(rig["a4"] == 2)
  }

  /// Which of four cached translations a fence forgets: of this address or another, global or not.
  @Test func fencesForgetWhatTheySelect() throws {
    enum Kind: CaseIterable { case here, elsewhere, global }
    let operands: [(va: Bool, asid: UInt64?)] = [
      (false, nil), (true, nil), (false, 5), (true, 5), (false, 6), (true, 6),
    ]
    for (byAddress, asid) in operands {
      for kind in Kind.allCases {
        let rig = try Rig(.architectural)
        rig.enterPaging()
        rig["satp"] = 8 << 60 | 5 << 44 | Rig.root >> 12
        rig["priv"] = 1
        let va = kind == .elsewhere ? Self.page + 0x1000 : Self.page
        let flags = kind == .global ? Self.rwad | PTE.global : Self.rwad
        rig.map(va, to: Rig.data, flags)
        rig.poke(Rig.data, 1)
        rig.poke(Rig.data + 0x1000, 2)
        rig["a1"] = va
        rig.run([.load(Reg.a0, Reg.a1)])
        rig.map(va, to: Rig.data + 0x1000, flags)
        rig["a2"] = Self.page
        rig["a3"] = asid ?? 0
        rig.run([
          Insn(op: .sfence_vma, rs1: byAddress ? Reg.a2 : 0, rs2: asid == nil ? 0 : Reg.a3),
          .load(Reg.a0, Reg.a1),
        ])
        let forgets =
          (!byAddress || kind != .elsewhere) && (asid == nil || (asid == 5 && kind != .global))
        #expect(
          rig["a0"] == (forgets ? 2 : 1), "\(kind), by address \(byAddress), asid \(asid ?? 0)")
      }
    }
  }

  /// Entries of an address space survive a switch to another one and back; global ones serve both.
  @Test func addressSpacesAreKeptApart() throws {
    let rig = try rig(.architectural)
    let other = rig.newTable()
    for page in [Rig.code, Rig.machineVector, Rig.supervisorVector] {
      rig.map(page, to: page, PTE.read | PTE.execute | PTE.accessed | PTE.global)
      rig.map(page, to: page, PTE.read | PTE.execute | PTE.accessed | PTE.global, root: other)
    }
    rig.map(Self.page, to: Rig.data, Self.rwad)
    rig.map(Self.page, to: Rig.data + 0x1000, Self.rwad, root: other)
    rig.poke(Rig.data, 1)
    rig.poke(Rig.data + 0x1000, 2)
    rig.poke(Rig.data + 0x2000, 3)
    rig["a1"] = Self.page
    func look(asid: UInt64, root: UInt64) -> UInt64 {
      rig["satp"] = 8 << 60 | asid << 44 | root >> 12
      rig.run([.load(Reg.a0, Reg.a1)])
      return rig["a0"]
    }
    #expect(look(asid: 1, root: Rig.root) == 1)
    #expect(look(asid: 2, root: other) == 2)
    rig.map(Self.page, to: Rig.data + 0x2000, Self.rwad)
    #expect(look(asid: 1, root: Rig.root) == 1)
    #expect(look(asid: 3, root: Rig.root) == 3)
  }

  /// Translations of the spaces left last are kept, under the whole register as their name, and what
  /// changes meanwhile is seen.
  @Test func addressSpacesKeepTheirTranslations() throws {
    let rig = try rig()
    var roots = [Rig.root]
    for space in 1..<7 {
      roots.append(rig.newTable())
      for page in [Rig.code, Rig.machineVector, Rig.supervisorVector] {
        rig.map(page, to: page, PTE.read | PTE.execute | PTE.accessed, root: roots[space])
      }
    }
    for (space, root) in roots.enumerated() {
      rig.map(Self.page, to: Rig.data + UInt64(space) * 0x1000, Self.rwad, root: root)
      rig.poke(Rig.data + UInt64(space) * 0x1000, UInt64(space) + 100)
    }
    rig["a1"] = Self.page
    func look(_ space: Int, asid: UInt64? = nil) -> UInt64 {
      rig["satp"] = 8 << 60 | (asid ?? UInt64(space)) << 44 | roots[space] >> 12
      rig.run([.load(Reg.a0, Reg.a1)])
      return rig["a0"]
    }
    for space in 0..<3 { #expect(look(space) == UInt64(space) + 100) }
    let misses = rig.hart.tlbMisses
    for space in [0, 1, 2, 1, 0] { #expect(look(space) == UInt64(space) + 100) }
    #expect(rig.hart.tlbMisses == misses)
    // Another root under the same number, and more spaces than are kept.
    for space in [3, 4, 5, 6, 0, 1] { #expect(look(space, asid: 9) == UInt64(space) + 100) }
    // A store to the tables of a space that was left, and a fence in another one.
    #expect(look(0) == 100)
    #expect(look(1) == 101)
    rig.map(Self.page, to: Rig.data + 0x6000, Self.rwad, root: roots[0])
    #expect(look(0) == 106)
    #expect(look(1) == 101)
    rig.poke(
      rig.entry(Self.page, root: roots[0]),
      ((Rig.data + 0x5000) >> 12) << 10 | Self.rwad | PTE.valid)
    rig["a2"] = Self.page
    rig.run([Insn(op: .sfence_vma, rs1: Reg.a2)])
    #expect(look(0) == 105)
  }

  /// One fence by any address in a superpage forgets all of it.
  @Test(arguments: CacheModel.allCases)
  func aFenceForgetsTheWholeSuperpage(caches: CacheModel) throws {
    let rig = try rig(caches)
    rig.map(Self.page, to: 0x20_0000, Self.rwad, level: 1)
    rig.poke(0x20_0000, 1)
    rig.poke(0x40_0000, 2)
    rig["a1"] = Self.page
    rig["a2"] = Self.page + 0x5000
    rig.run([.load(Reg.a0, Reg.a1)])
    rig.poke(rig.entry(Self.page, level: 1), (0x40_0000 >> 12) << 10 | Self.rwad | PTE.valid)
    rig.run([Insn(op: .sfence_vma, rs1: Reg.a2), .load(Reg.a0, Reg.a1)])
    #expect(rig["a0"] == 2)
  }

  // MARK: satp

  @Test func anUnsupportedModeLeavesTheRootAlone() throws {
    let rig = try Rig()
    let root: UInt64 = 8 << 60 | 7 << 44 | 0x123
    rig["satp"] = root
    for mode in UInt64(0)..<16 where mode != 0 && mode != 8 && mode != 9 {
      rig["satp"] = mode << 60 | 1
      #expect(rig["satp"] == root)
    }
    let full: UInt64 = 9 << 60 | 0xffff << 44 | 0xfff_ffff_ffff
    rig["satp"] = full
    #expect(rig["satp"] == full)
    rig["satp"] = 0
    #expect(rig["satp"] == 0)
  }
}
