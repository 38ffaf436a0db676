import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// Probes follow the file: into every process and every mapping, present and to come.
@Suite struct UserFollowTests {
  @Test("U03 a probe is everybody's: each process that maps the library hits it", arguments: guests)
  func everyProcess(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1Fmc2.Fmc3.c4")
    var pids: [Int32] = []
    let probe = try scene.probeLibrary {
      $0.entry = { context in
        pids.append(context.tgid)
        return .continue
      }
    }
    scene.finish([84, 87, 0, 86, 0, 81])
    #expect(probe.hits == 4)
    #expect(pids.count == 4 && Set(pids).count == 3)
    #expect(pids.first == pids.last)
  }

  @Test("U06 a file that is mapped after the registration is probed", arguments: guests)
  func lateMapping(guest: ProgramArchitecture) throws {
    func hits(_ legacy: LegacyPolicies) throws -> UInt64 {
      let scene = try Scene(guest, "zzmc1", legacy)
      let probe = try scene.probeLibrary()
      scene.finish([84])
      return probe.hits
    }
    #expect(try hits(.processesAreNotFollowed) == 0)
    #expect(try hits([]) == 1)
  }

  @Test("U07 a probe of another process than the one who asks", arguments: guests)
  func otherProcess(guest: ProgramArchitecture) throws {
    // The breaks are in everybody's memory, and only one process's table knows of them.
    func run(_ legacy: LegacyPolicies) throws -> (hits: UInt64, values: [Int]) {
      let scene = try Scene(guest, "x1Fx2.x3", legacy)
      let probe = try scene.probe("xorfn")
      #expect(scene.run() == .ended(.exited(0)))
      return (probe.hits, scene.values)
    }
    let wrong = try run(.probesOfOneProcess)
    #expect(wrong.hits == 2 && wrong.values == [84, Int(Signal.SIGTRAP), 86])
    let right = try run([])
    #expect(right.hits == 3 && right.values == [84, 87, 0, 86])
  }

  @Test("U09 a child after fork is probed", arguments: guests)
  func fork(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (hits: UInt64, values: [Int]) {
      let scene = try Scene(guest, "x1Fx2.x3", legacy)
      try scene.run(until: { _ in scene.values.count == 0 && scene.space != nil })
      let probe = try scene.probe("xorfn")
      #expect(scene.run() == .ended(.exited(0)))
      return (probe.hits, scene.values)
    }
    // The child has the break, and nobody knows it there.
    let wrong = try run(.processesAreNotFollowed)
    #expect(wrong.hits == 2 && wrong.values == [84, Int(Signal.SIGTRAP), 86])
    let right = try run([])
    #expect(right.hits == 3 && right.values == [84, 87, 0, 86])
  }

  @Test("U09 a program that is executed is probed, by whatever path", arguments: guests)
  func exec(guest: ProgramArchitecture) throws {
    func run(_ steps: String, _ legacy: LegacyPolicies) throws -> (UInt64, [Int]) {
      let scene = try Scene(guest, steps, legacy)
      let vfs = scene.kernel.vfs
      try vfs.link(Path(scene.rig.path), to: "/other", vfs.makeContext())
      let probe = try scene.probe("xorfn")
      #expect(scene.run() == .ended(.exited(0)))
      return (probe.hits, scene.values)
    }
    // `argv[0]` is not a path here, so that `E0` fails and `E1` is the hard link.
    #expect(try run("x1E1x2", .processesAreNotFollowed) == (1, [84, 87]))
    #expect(try run("x1E1x2", []) == (2, [84, 87]))
    #expect(try run("x1FE1x2.x3", []) == (3, [84, 87, 0, 86]))
  }

  @Test(
    "U09 munmap takes the break with it; what comes there later is left alone", arguments: guests)
  func munmap(guest: ProgramArchitecture) throws {
    // The same address, another part of the file.
    let scene = try Scene(guest, "mc1umc2")
    let probe = try scene.probeLibrary()
    try scene.run(until: { _ in scene.values.count == 2 })
    #expect((scene.space?.probeState as? UprobeSpace)?.isDoubtful == true)
    scene.probes.unregister(probe)
    scene.finish([84, 0, 87])
    #expect(probe.hits == 1)
    let again = try Scene(guest, "mc1umc2u")
    let both = try again.probeLibrary()
    again.finish([84, 0, 87, 0])
    #expect(both.hits == 2)
  }

  @Test("U09 mremap moves the break, and the hit is where the text is now", arguments: guests)
  func mremap(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1rc2")
    var pcs: [UInt64] = []
    let probe = try scene.probeLibrary {
      $0.entry = { context in
        pcs.append(context.pc)
        return .continue
      }
    }
    scene.finish([84, 87])
    #expect(probe.hits == 2 && pcs.last == 0x5000_0040 && pcs.first != pcs.last)
    // And taken away where it is now.
    let other = try Scene(guest, "mc1rc2")
    let gone = try other.probeLibrary()
    try other.run(until: { _ in other.mapped(0x1040) == 0x5000_0040 })
    #expect(other.isArmed(0x5000_0040))
    other.probes.unregister(gone)
    #expect(other.text(0x5000_0040, 4) == Array(other.facts.xor[..<4]))
    other.finish([84, 87])
    #expect(gone.hits == 1)
  }

  @Test("U09 two mappings of one file in one process are both probed", arguments: guests)
  func twoMappings(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mmc1qc2qc3")
    var pcs: Set<UInt64> = []
    let probe = try scene.probeLibrary {
      $0.entry = { context in
        pcs.insert(context.pc)
        return .continue
      }
    }
    scene.finish([84, 87, 86])
    #expect(probe.hits == 3 && pcs.count == 2)
  }

  @Test("U11 a probe outlives its target, and is taken away after it", arguments: guests)
  func targetIsGone(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "Fx1.zx2")
    let probe = try scene.probe("xorfn")
    try scene.run(until: { _ in scene.values.count == 2 })
    #expect(probe.hits == 1)
    scene.probes.unregister(probe)
    scene.finish([84, 0, 87])
    // After the run, too.
    let over = try Scene(guest, "x1")
    let last = try over.probe("xorfn")
    over.finish([84])
    over.probes.unregister(last)
    over.probes.unregister(last)
    #expect(!last.isRegistered && over.probes.uprobes.points.isEmpty)
  }

  @Test(
    "U12 a target may exit or be killed while its probe is armed and stepping", arguments: guests)
  func targetDiesArmed(guest: ProgramArchitecture) throws {
    // The child is killed with its instruction in the slot.
    let scene = try Scene(guest, "Fx1.x2x3")
    var isFirst = true
    let probe = try scene.probe("xorfn") { context in
      if isFirst { context.raise(Signal.SIGKILL) }
      isFirst = false
      return .continue
    }
    scene.finish([Int(Signal.SIGKILL), 87, 86])
    #expect(probe.hits == 3)
  }

  @Test(
    "M07 a child has the breaks its parent had, whatever a filter says, until all vote them out",
    arguments: guests)
  func forkAgainstTheFilter(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1Fx2x3.x4")
    let parent = try #require(scene.space)
    var asked = 0
    var votes: [Int32] = []
    var request = UprobeRequest(scene.program, offset: try scene.rig.offset("xorfn")) { context in
      votes.append(context.tgid)
      return context.task?.space === parent ? .continue : .remove
    }
    request.filter = { space in
      asked += 1
      return space === parent
    }
    let probe = try scene.probes.registerUprobe(request)
    #expect(asked > 0)
    scene.finish([84, 87, 86, 0, 81])
    // The child hit once: its vote, with the filter, took the break out of its memory only.
    #expect(probe.hits == 3)
    #expect(votes.count == 3 && Set(votes).count == 2)
  }

  @Test(
    "M07 a child of vfork returns through the trampoline, and so does its parent", arguments: guests
  )
  func vfork(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "V")
    var pids: [Int32] = []
    let probe = try scene.returns("vforkfn") { pids.append($0.tgid) }
    scene.finish([3])
    #expect(probe.hits == 2)
    #expect(pids.count == 2 && pids[0] != pids[1])
  }

  @Test("M07 threads share their probes, and not their returns", arguments: guests)
  func threads(guest: ProgramArchitecture) throws {
    let plain = try Scene(guest, "T6")
    plain.run()
    let scene = try Scene(guest, "T6")
    var tids: Set<Int32> = []
    let probe = try scene.probe("xorfn") { context in
      tids.insert(context.pid)
      context.yield()
      return .continue
    }
    let ret = try scene.returns("xorfn") { _ in }
    scene.finish(plain.values)
    #expect(probe.hits == 120 && ret.hits == 120 && ret.nmissed == 0)
    #expect(tids.count == 6)
  }

  @Test(
    "MADV_DONTNEED loses a break until the file is looked at again, as on Linux", arguments: guests)
  func dontNeed(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1dc2oc3wc4")
    let probe = try scene.probeLibrary()
    scene.finish([84, 0, 87, 0, 86, 0, 81])
    // The second call does not hit; the mprotect behind it has the mapping looked at.
    #expect(probe.hits == 3)
  }

  @Test(
    "a probe is the file's, not the path's: hard links, and what was unlinked", arguments: guests)
  func links(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "zmc1")
    let vfs = scene.kernel.vfs
    let context = vfs.makeContext()
    try vfs.link("/lib", to: "/lib2", context)
    let probe = try scene.probes.registerUprobe(
      UprobeRequest(.path("/lib2"), offset: 0x1040) { _ in .continue })
    try vfs.unlink("/lib2", context)
    scene.finish([84])
    #expect(probe.hits == 1)
  }

  @Test("a copy of a file is another file", arguments: guests)
  func copies(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1")
    try scene.kernel.vfs.installProgram("/copy", HostBytes(scene.facts.library))
    let probe = try scene.probes.registerUprobe(
      UprobeRequest(.path("/copy"), offset: 0x1040) { _ in .continue })
    scene.finish([84])
    #expect(probe.hits == 0)
  }

  @Test(
    "what is written through /proc/self/mem is the process's own, and reads show the break",
    arguments: guests)
  func procMem(guest: ProgramArchitecture) throws {
    // Reads see the break as it is in memory; a write puts another instruction there.
    let scene = try Scene(guest, "mc1QPRQ")
    let probe = try scene.probeLibrary()
    try scene.run(until: { _ in scene.values.count == 4 })
    let (brk, patch) = (scene.facts.armedWord, scene.facts.patchedWord)
    #expect(scene.values == [84, brk, 2, patch])
    scene.probes.unregister(probe)
    scene.finish([84, brk, 2, patch, patch])
    #expect(probe.hits == 1)
  }
}
