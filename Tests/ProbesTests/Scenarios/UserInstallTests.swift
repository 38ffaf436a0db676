import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// How a break gets into a program's text, and out of it.
@Suite struct UserInstallTests {
  @Test("U01 a break is put into the process's own copy of the page")
  func privateCopy() throws {
    // A break in the frame that everybody shares is in the file: the next program has it too.
    func run(_ legacy: LegacyPolicies) throws -> (scene: Scene, cached: [UInt8]) {
      let scene = try Scene("mc1", legacy)
      // The page is present, as the file's, when the probe comes.
      try scene.run(until: { _ in scene.mapped(0x1040) != nil })
      let va = try #require(scene.mapped(0x1040))
      _ = try scene.space?.read(va, 2)
      let probe = try scene.probeLibrary()
      #expect(scene.text(va) == shortBreak)
      scene.finish([84])
      #expect(probe.hits == 1)
      let kernel = scene.kernel
      let inode = try kernel.vfs.resolve("/lib", kernel.vfs.makeContext()).inode
      return (scene, try inode.read(at: 0x1040, 4))
    }
    #expect(try run(.writesSharedFrames).cached.starts(with: shortBreak))
    #expect(try run([]).cached == [0x13, 0x45, 0x55, 0x05])
  }

  @Test("U02 slots are one page of the process's, which goes when it does")
  func slotMemory() throws {
    func free(probed: Bool) throws -> Int {
      let scene = try Scene("x1x2Fx3.")
      if probed {
        try scene.probe("xorfn")
        try scene.run(until: { scene.area?.contains($0) == true })
        #expect(scene.area?.count == 4096)
      }
      scene.finish([84, 87, 86, 0])
      // Nobody uses the memory any more.
      scene.kernel.freeDead()
      _ = scene.kernel.schedule()
      scene.kernel.freeDead()
      return scene.kernel.frames.available
    }
    #expect(try free(probed: true) == free(probed: false))
  }

  @Test("U08 where a file's part is mapped is where its probe goes")
  func segmentOffset() throws {
    func hits(_ legacy: LegacyPolicies) throws -> (right: UInt64, pcs: Set<UInt64>, values: [Int]) {
      let scene = try Scene("mc1e1", legacy)
      try scene.run(until: { _ in scene.mapped(0x1040) != nil })
      let va = try #require(scene.mapped(0x1040))
      var pcs: Set<UInt64> = []
      let probe = try scene.probeLibrary {
        $0.entry = { context in
          pcs.insert(context.pc &- va)
          return .continue
        }
      }
      scene.run()
      return (probe.hits, pcs, scene.values)
    }
    // The other function is reported for this one, and nobody says a word.
    let wrong = try hits(.segmentOffsetIgnored)
    #expect(wrong.right == 1 && wrong.pcs == [0x1000] && wrong.values == [84, 2])
    let right = try hits([])
    #expect(right.right == 1 && right.pcs == [0] && right.values == [84, 2])
  }

  @Test("U10 a page that is not resident is brought in")
  func notResident() throws {
    let scene = try Scene("mc1")
    try scene.run(until: { _ in scene.mapped(0x1040) != nil })
    let va = try #require(scene.mapped(0x1040))
    #expect(scene.space?.physical(va) == nil)
    let probe = try scene.probeLibrary()
    #expect(scene.space?.physical(va) != nil)
    scene.finish([84])
    #expect(probe.hits == 1)
  }

  @Test("U13 an instruction is copied from the file, be its page mapped or not")
  func copyOfAbsentText() throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, [Int]) {
      let scene = try Scene("mc1", legacy)
      try scene.run(until: { _ in scene.mapped(0x1040) != nil })
      try scene.probeLibrary()
      return (scene.run(), scene.values)
    }
    // What was not there reads as zeros, and zeros are not an instruction.
    #expect(try run(.absentTextIsZeros) == (.ended(.killed(Signal.SIGILL)), []))
    #expect(try run([]) == (.ended(.exited(0)), [84]))
  }

  @Test("U14 an instruction that crosses a page is put back page by page")
  func crossing() throws {
    func run(_ legacy: LegacyPolicies) throws -> (next: [UInt8], before: [UInt8], scene: Scene) {
      let scene = try Scene("C1C2", legacy)
      let probe = try scene.probe("crossfn")
      let va = try scene.address("crossfn")
      #expect(va & 4095 == 4094)
      try scene.run(until: { scene.area?.contains($0) == true })
      // The frame that happens to be behind the first page's belongs to somebody else.
      let frame = try #require(scene.space?.physical(va)) &+ 2
      let foreign = scene.space?.physical(va &+ 2)
      #expect(foreign != frame)
      scene.rig.machine.ram.write(frame, [0xaa, 0xbb])
      let before = scene.rig.machine.ram.bytes(frame, 2) ?? []
      scene.probes.unregister(probe)
      return (scene.rig.machine.ram.bytes(frame, 2) ?? [], before, scene)
    }
    let wrong = try run(.restoresThroughOneFrame)
    #expect(wrong.next != wrong.before)
    let right = try run([])
    #expect(right.next == right.before)
    right.scene.finish([101, 102])
  }

  @Test("U51 slots can be executed, and not written")
  func slotsAreNotWritable() throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, Int32) {
      let scene = try Scene("x1s5", legacy)
      try scene.probe("xorfn")
      var prot: Int32 = 0
      try scene.probe("storefn") { context in
        let area = context.task?.space?.vmas.first { $0.name == "[uprobes]" }
        prot = area?.prot ?? 0
        context.setArgument(1, (area?.start ?? 0) &+ 2048)
        return .continue
      }
      return (scene.run(), prot)
    }
    #expect(try run(.slotsAreWritable) == (.ended(.exited(0)), 7))
    #expect(try run([]) == (.ended(.killed(Signal.SIGSEGV)), MM.PROT_EXEC))
  }

  @Test("U84 a registration that can't be done is an error and changes nothing")
  func errors() throws {
    let scene = try Scene("x1")
    let inode = try scene.kernel.vfs.resolve("/scenes.elf", scene.kernel.vfs.makeContext()).inode
    func errno(_ file: ProbedFile, _ offset: UInt64) -> Errno? {
      refusal {
        _ = try scene.probes.registerUprobe(
          UprobeRequest(file, offset: offset) { _ in .continue })
      }
    }
    #expect(errno(.path("/nowhere"), 0) == .ENOENT)
    #expect(errno(.path("/lib/x"), 0) == .ENOTDIR)
    #expect(errno(.path("/dev/null"), 0) == .EIO)
    #expect(errno(.path("/dev"), 0) == .EIO)
    #expect(errno(.inode(inode), 1) == .EINVAL)
    #expect(errno(.inode(inode), inode.size + 2) == .EINVAL)
    #expect(errno(.inode(inode), UInt64.max - 1) == .EINVAL)
    #expect(errno(scene.program, try scene.rig.offset("breakfn")) == .EOPNOTSUPP)
    #expect(scene.probes.uprobes.points.isEmpty && scene.probes.uprobes.files.isEmpty)
    scene.finish([84])
  }

  @Test("U88 without a handler, misaligned, behind the end, or not a mappable file: refused")
  func checks() throws {
    // Without the checks the break lands in the middle of an instruction.
    func run(_ legacy: LegacyPolicies) throws -> (Errno?, ProgramExit, [Int]) {
      let scene = try Scene("x1", legacy)
      let errno = refusal {
        _ = try scene.probes.registerUprobe(
          UprobeRequest(scene.program, offset: scene.rig.offset("xorfn") + 1) { _ in .continue })
      }
      return (errno, scene.run(1_000_000), scene.values)
    }
    let wrong = try run(.noRegistrationChecks)
    #expect(wrong.0 == nil)
    #expect(wrong.2 != [84])
    #expect(try run([]) == (.EINVAL, .ended(.exited(0)), [84]))
    let scene = try Scene("x1")
    #expect(throws: ProbeError(.EINVAL, "a uprobe needs a handler")) {
      try scene.probes.registerUprobe(
        UprobeRequest(scene.program, offset: scene.rig.offset("xorfn")))
    }
    // As Linux: the end itself is an offset, at which nothing is mapped.
    let size = UInt64(scene.rig.elf.count) & ~1
    #expect(throws: Never.self) {
      try scene.probes.registerUprobe(
        UprobeRequest(scene.program, offset: size) { _ in .continue })
    }
  }

  @Test("M05 what can't be probed is found out when somebody maps it, and then kept quiet")
  func lazyAnalysis() throws {
    let scene = try Scene("mc1")
    // Nobody maps the file yet: its fourth page holds zeros, which are no instruction.
    let bad = try scene.probeLibrary(0x1100)
    let good = try scene.probeLibrary()
    scene.finish([84])
    #expect(bad.hits == 0 && bad.isRegistered && good.hits == 1)
    // Once it is mapped the same registration is refused.
    let late = try Scene("mc1")
    try late.run(until: { _ in late.mapped(0x1040) != nil })
    #expect(throws: ProbeError.self) { try late.probeLibrary(0x1100) }
    late.finish([84])
  }

  @Test("M06 the copy goes when it says what the file says, and only then")
  func copyIsDropped() throws {
    let scene = try Scene("x1x2x3")
    let va = try scene.address("xorfn")
    try scene.run(until: { $0 == va &+ 4 })
    let shared = try #require(scene.space?.physical(va))
    let resident = try #require(scene.space).residentPages
    let one = try scene.probe("xorfn")
    let two = try scene.probe("semfn")
    let copy = try #require(scene.space?.physical(va))
    #expect(copy != shared)
    scene.probes.unregister(one)
    // The other probe's break is still in the page.
    #expect(scene.space?.physical(va) == copy)
    scene.probes.unregister(two)
    #expect(scene.space?.physical(va) == nil)
    #expect(scene.space?.residentPages == resident - 1)
    try scene.run(until: { _ in scene.space?.physical(va) != nil })
    #expect(scene.space?.physical(va) == shared && scene.space?.residentPages == resident)
    scene.finish([84, 87, 86])
  }

  @Test("M06 a text page that the program wrote to keeps what it wrote")
  func ownWritesStay() throws {
    // The program overwrites the break with an instruction of its own: it is no break any more.
    let scene = try Scene("mc1wOzc1")
    let probe = try scene.probeLibrary()
    try scene.run(until: { _ in scene.values.count == 2 })
    let va = try #require(scene.mapped(0x1040))
    #expect(scene.text(va) == shortBreak)
    try scene.run(until: { _ in scene.text(va) != shortBreak })
    #expect(scene.text(va) == [0x05, 0x05])
    scene.probes.unregister(probe)
    #expect(scene.text(va) == [0x05, 0x05])
    // What is left of the long instruction is one too: c.addi a0, 1; c.addi a0, 21.
    scene.finish([84, 0, 23])
    #expect(probe.hits == 1)
  }

  @Test("M06 memory that is shared or writable gets no new breaks, and keeps those it has")
  func sharedAndWritable() throws {
    let shared = try Scene("Mc1")
    let none = try shared.probeLibrary()
    shared.finish([84])
    #expect(none.hits == 0)
    let writable = try Scene("Wc1")
    let neither = try writable.probeLibrary()
    writable.finish([84])
    #expect(neither.hits == 0)
    // Made writable afterwards: what is there stays.
    let later = try Scene("mc1wc1oc1")
    let probe = try later.probeLibrary()
    later.finish([84, 0, 84, 0, 84])
    #expect(probe.hits == 3)
    // Writable when the probe comes, then not: it comes with the change.
    let back = try Scene("Wc1oc1")
    let there = try back.probeLibrary()
    back.finish([84, 0, 84])
    #expect(there.hits == 1)
  }

  @Test("M19 a break and a slot are seen by the next fetch", arguments: [true, false])
  func fetchSynchronisation(isRight: Bool) throws {
    // With architectural caches what was fetched before stays until the guest's fence.
    let scene = try Scene("n1n1n1", caches: .architectural)
    let va = try scene.address("xorfn")
    // Another probe in the page: the copy is there, and has been fetched from, as all other pages.
    try scene.probe("semfn")
    try scene.run(until: { $0 == va && scene.values.count == 1 })
    scene.run(scene.rig.machine.hart.count + 50)
    scene.probes.legacy = isRight ? [] : .noFetchSynchronisation
    let probe = try scene.probe("xorfn")
    #expect(scene.run() == .ended(.exited(0)))
    #expect(scene.values.count == 3)
    #expect(isRight ? probe.hits > 150 : probe.hits == 0)
  }
}
