import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// How a break gets into a program's text, and out of it.
@Suite struct UserInstallTests {
  @Test("U01 a break is put into the process's own copy of the page", arguments: guests)
  func privateCopy(guest: ProgramArchitecture) throws {
    // A break in the frame that everybody shares is in the file: the next program has it too.
    func run(_ legacy: LegacyPolicies) throws -> (scene: Scene, cached: [UInt8]) {
      let scene = try Scene(guest, "mc1", legacy)
      // The page is present, as the file's, when the probe comes.
      try scene.run(until: { _ in scene.mapped(0x1040) != nil })
      let va = try #require(scene.mapped(0x1040))
      _ = try scene.space?.read(va, 4)
      let probe = try scene.probeLibrary()
      #expect(scene.isArmed(va))
      scene.finish([84])
      #expect(probe.hits == 1)
      let kernel = scene.kernel
      let inode = try kernel.vfs.resolve("/lib", kernel.vfs.makeContext()).inode
      return (scene, try inode.read(at: 0x1040, 4))
    }
    #expect(try run(.writesSharedFrames).cached.starts(with: GuestFacts.of(guest).brk))
    #expect(try run([]).cached == Array(GuestFacts.of(guest).xor[..<4]))
  }

  @Test("U02 slots are one page of the process's, which goes when it does", arguments: guests)
  func slotMemory(guest: ProgramArchitecture) throws {
    func free(probed: Bool) throws -> Int {
      let scene = try Scene(guest, "x1x2Fx3.")
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

  @Test("U08 where a file's part is mapped is where its probe goes", arguments: guests)
  func segmentOffset(guest: ProgramArchitecture) throws {
    func hits(_ legacy: LegacyPolicies) throws -> (right: UInt64, pcs: Set<UInt64>, values: [Int]) {
      let scene = try Scene(guest, "mc1e1", legacy)
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

  @Test("U10 a page that is not resident is brought in", arguments: guests)
  func notResident(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1")
    try scene.run(until: { _ in scene.mapped(0x1040) != nil })
    let va = try #require(scene.mapped(0x1040))
    #expect(scene.space?.physical(va) == nil)
    let probe = try scene.probeLibrary()
    #expect(scene.space?.physical(va) != nil)
    scene.finish([84])
    #expect(probe.hits == 1)
  }

  @Test("U13 an instruction is copied from the file, be its page mapped or not", arguments: guests)
  func copyOfAbsentText(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, [Int]) {
      let scene = try Scene(guest, "mc1", legacy)
      try scene.run(until: { _ in scene.mapped(0x1040) != nil })
      try scene.probeLibrary()
      return (scene.run(), scene.values)
    }
    // What was not there reads as zeros, and zeros are not the instruction.
    let zeros = GuestFacts.of(guest).zeros
    #expect(try run(.absentTextIsZeros) == (.ended(.killed(zeros)), []))
    #expect(try run([]) == (.ended(.exited(0)), [84]))
  }

  @Test("U14 an instruction that crosses a page is put back page by page", arguments: guests)
  func crossing(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (next: [UInt8], before: [UInt8], scene: Scene) {
      let scene = try Scene(guest, "C1C2", legacy)
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

  @Test("U51 slots can be executed, and not written", arguments: guests)
  func slotsAreNotWritable(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, Int32) {
      let scene = try Scene(guest, "x1s5", legacy)
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

  @Test("U84 a registration that can't be done is an error and changes nothing", arguments: guests)
  func errors(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1")
    let inode = try scene.kernel.vfs.resolve(Path(scene.rig.path), scene.kernel.vfs.makeContext())
      .inode
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
    if scene.probes.isa.insnAlignment > 1 { #expect(errno(.inode(inode), 1) == .EINVAL) }
    #expect(errno(.inode(inode), inode.size + 2) == .EINVAL)
    #expect(errno(.inode(inode), UInt64.max - 1) == .EINVAL)
    #expect(errno(scene.program, try scene.rig.offset("breakfn")) == .EOPNOTSUPP)
    #expect(scene.probes.uprobes.points.isEmpty && scene.probes.uprobes.files.isEmpty)
    scene.finish([84])
  }

  @Test(
    "U88 without a handler, misaligned, behind the end, or not a mappable file: refused",
    arguments: guests)
  func checks(guest: ProgramArchitecture) throws {
    func run(
      _ steps: String, _ legacy: LegacyPolicies, at place: (Scene) throws -> UInt64
    ) throws -> (Errno?, ProgramExit, [Int]) {
      let scene = try Scene(guest, steps, legacy)
      let offset = try place(scene)
      let errno = refusal {
        _ = try scene.probes.registerUprobe(
          UprobeRequest(scene.program, offset: offset) { _ in .continue })
      }
      return (errno, scene.run(1_000_000), scene.values)
    }
    // Without the checks the break lands in the middle of an instruction.
    if try Scene(guest, "").probes.isa.insnAlignment > 1 {
      func middle(_ scene: Scene) throws -> UInt64 { try scene.rig.offset("xorfn") + 1 }
      let wrong = try run("x1", .noRegistrationChecks, at: middle)
      #expect(wrong.0 == nil)
      #expect(wrong.2 != [84])
      #expect(try run("x1", [], at: middle) == (.EINVAL, .ended(.exited(0)), [84]))
    }
    // A system call in a slot: the child comes back to where it has no slots, or the step is forgotten.
    func call(_ scene: Scene) throws -> UInt64 {
      try #require(scene.places(of: "forkfn").dropLast().last)
    }
    let wrong = try run("Fx1.x2", .noRegistrationChecks, at: call)
    #expect(wrong.0 == nil)
    #expect(wrong.2 != [84, 0, 87])
    let refused = GuestFacts.of(guest).systemCall.errno
    #expect(try run("Fx1.x2", [], at: call) == (refused, .ended(.exited(0)), [84, 0, 87]))
    let scene = try Scene(guest, "x1")
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

  @Test(
    "M05 what can't be probed is found out when somebody maps it, and then kept quiet",
    arguments: guests)
  func lazyAnalysis(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1")
    // Nobody maps the file yet: what it has there is no instruction.
    let bad = try scene.probeLibrary(0x1100)
    let good = try scene.probeLibrary()
    scene.finish([84])
    #expect(bad.hits == 0 && bad.isRegistered && good.hits == 1)
    // Once it is mapped the same registration is refused.
    let late = try Scene(guest, "mc1")
    try late.run(until: { _ in late.mapped(0x1040) != nil })
    #expect(throws: ProbeError.self) { try late.probeLibrary(0x1100) }
    late.finish([84])
  }

  @Test("M06 the copy goes when it says what the file says, and only then", arguments: guests)
  func copyIsDropped(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x2x3")
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

  @Test("M06 a text page that the program wrote to keeps what it wrote", arguments: guests)
  func ownWritesStay(guest: ProgramArchitecture) throws {
    // The program overwrites the break with an instruction of its own: it is no break any more.
    let scene = try Scene(guest, "mc1wOzc1")
    let probe = try scene.probeLibrary()
    try scene.run(until: { _ in scene.values.count == 2 })
    let va = try #require(scene.mapped(0x1040))
    #expect(scene.isArmed(va))
    try scene.run(until: { _ in !scene.isArmed(va) })
    #expect(scene.text(va, 2) == scene.facts.patch.bytes)
    scene.probes.unregister(probe)
    #expect(scene.text(va, 2) == scene.facts.patch.bytes)
    scene.finish([84, 0, scene.facts.patch.result])
    #expect(probe.hits == 1)
  }

  @Test(
    "M06 memory that is shared or writable gets no new breaks, and keeps those it has",
    arguments: guests)
  func sharedAndWritable(guest: ProgramArchitecture) throws {
    let shared = try Scene(guest, "Mc1")
    let none = try shared.probeLibrary()
    shared.finish([84])
    #expect(none.hits == 0)
    let writable = try Scene(guest, "Wc1")
    let neither = try writable.probeLibrary()
    writable.finish([84])
    #expect(neither.hits == 0)
    // Made writable afterwards: what is there stays.
    let later = try Scene(guest, "mc1wc1oc1")
    let probe = try later.probeLibrary()
    later.finish([84, 0, 84, 0, 84])
    #expect(probe.hits == 3)
    // Writable when the probe comes, then not: it comes with the change.
    let back = try Scene(guest, "Wc1oc1")
    let there = try back.probeLibrary()
    back.finish([84, 0, 84])
    #expect(there.hits == 1)
  }

  @Test("M19 a break and a slot are seen by the next fetch", arguments: [true, false], guests)
  func fetchSynchronisation(isRight: Bool, guest: ProgramArchitecture) throws {
    // With architectural caches what was fetched before stays until the guest's fence, where the
    // architecture has one.
    let scene = try Scene(guest, "n1n1n1", caches: .architectural)
    let va = try scene.address("xorfn")
    // Another probe in the page: the copy is there, and has been fetched from, as all other pages.
    try scene.probe("semfn")
    try scene.run(until: { $0 == va && scene.values.count == 1 })
    scene.run(scene.rig.machine.hart.count + 50)
    scene.probes.legacy = isRight ? [] : .noFetchSynchronisation
    let probe = try scene.probe("xorfn")
    #expect(scene.run() == .ended(.exited(0)))
    #expect(scene.values.count == 3)
    #expect(isRight || scene.facts.hasCoherentFetch ? probe.hits > 150 : probe.hits == 0)
  }
}
