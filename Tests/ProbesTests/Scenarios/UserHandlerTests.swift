import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// What handlers and filters decide.
@Suite struct UserHandlerTests {
  @Test("M25 what handlers change is what the program goes on with", arguments: guests)
  func changesCount(guest: ProgramArchitecture) throws {
    // The argument, before the instruction; the result, at the return.
    let scene = try Scene(guest, "x1x1")
    var hits = 0
    try scene.probe("xorfn") { context in
      hits += 1
      if hits == 1 { context.setArgument(1, 0) }
      return .continue
    }
    try scene.returns("xorfn") { context in
      if hits == 2 { context.returnValue = 1000 }
    }
    scene.finish([85, 1000])
  }

  @Test("M25 a return handler may send the program elsewhere", arguments: guests)
  func returnElsewhere(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1")
    let other = try scene.address("semfn")
    var back: UInt64 = 0
    var didRedirect = false
    try scene.returns("xorfn") { context in
      guard !didRedirect else { return }
      didRedirect = true
      back = context.pc
      context.call(other, context.returnValue, returningTo: back)
    }
    // xorfn's result is semfn's argument.
    scene.finish([84 + 7])
    #expect(back != 0)
  }

  @Test("handlers run newest first, all of them", arguments: guests)
  func order(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1")
    var order: [Int] = []
    for index in 0..<4 {
      try scene.probe("xorfn") { _ in
        order.append(index)
        return .continue
      }
    }
    scene.finish([84])
    #expect(order == [3, 2, 1, 0])
  }

  @Test("a vote to remove counts only if all vote so and no filter objects", arguments: guests)
  func unanimity(guest: ProgramArchitecture) throws {
    func hits(votes: [ProbeAction], wanted: Bool) throws -> UInt64 {
      let scene = try Scene(guest, "x1x2x3")
      var first: Uprobe?
      for vote in votes {
        var request = UprobeRequest(scene.program, offset: try scene.rig.offset("xorfn")) { _ in
          vote
        }
        var asked = 0
        // Asked at the registration and, with the first vote, again.
        request.filter = { _ in
          asked += 1
          return wanted || asked == 1
        }
        let probe = try scene.probes.registerUprobe(request)
        if first == nil { first = probe }
      }
      scene.finish([84, 87, 86])
      return first?.hits ?? 0
    }
    #expect(try hits(votes: [.remove], wanted: false) == 1)
    #expect(try hits(votes: [.remove], wanted: true) == 3)
    #expect(try hits(votes: [.remove, .continue], wanted: false) == 3)
    #expect(try hits(votes: [.continue, .remove], wanted: false) == 3)
    #expect(try hits(votes: [.remove, .remove], wanted: false) == 1)
  }

  @Test("a unanimous vote takes the break out of all the process's mappings", arguments: guests)
  func removalIsTheProcesses(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mmc1qc2")
    var asked = 0
    let probe = try scene.probeLibrary { request in
      request.entry = { _ in .remove }
      request.filter = { _ in
        asked += 1
        return asked <= 2
      }
    }
    scene.finish([84, 87])
    #expect(probe.hits == 1)
  }

  @Test("a filter chooses processes; it is not asked at hits", arguments: guests)
  func filter(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1Fmc2.c3")
    let parent = try #require(scene.space)
    var asked = 0
    let probe = try scene.probeLibrary { request in
      request.filter = { space in
        asked += 1
        return space === parent
      }
    }
    scene.finish([84, 87, 0, 86])
    // The child's own mapping is not probed, the parent's is.
    #expect(probe.hits == 2)
    #expect(asked == 2)
  }

  @Test("uprobe_apply: a filter that changes its mind is asked again", arguments: guests)
  func apply(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1zx2zx3")
    var isWanted = false
    var request = UprobeRequest(scene.program, offset: try scene.rig.offset("xorfn")) { _ in
      .continue
    }
    request.filter = { _ in isWanted }
    let probe = try scene.probes.registerUprobe(request)
    let va = try scene.address("xorfn")
    try scene.run(until: { _ in scene.values.count == 1 })
    #expect(!scene.isArmed(va))
    isWanted = true
    try scene.probes.apply(probe, adding: true)
    #expect(scene.isArmed(va))
    try scene.run(until: { _ in scene.values.count == 2 })
    isWanted = false
    try scene.probes.apply(probe, adding: false)
    #expect(!scene.isArmed(va))
    scene.finish([84, 87, 86])
    #expect(probe.hits == 1)
    scene.probes.unregister(probe)
    #expect(refusal { try scene.probes.apply(probe, adding: true) } == .ENOENT)
  }

  @Test("enable and disable: the text is the file's while nobody is enabled", arguments: guests)
  func enabling(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1zx2zx3")
    var request = UprobeRequest(scene.program, offset: try scene.rig.offset("xorfn")) { _ in
      .continue
    }
    request.isDisabled = true
    let probe = try scene.probes.registerUprobe(request)
    let va = try scene.address("xorfn")
    try scene.run(until: { _ in scene.values.count == 1 })
    #expect(!scene.isArmed(va))
    try scene.probes.setEnabled(probe, true)
    #expect(scene.isArmed(va))
    try scene.run(until: { _ in scene.values.count == 2 })
    try scene.probes.setEnabled(probe, false)
    #expect(!scene.isArmed(va))
    scene.finish([84, 87, 86])
    #expect(probe.hits == 1)
  }

  @Test(
    "an enabling that fails leaves the probe disabled and the text as it was", arguments: guests)
  func enablingFails(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1zc2")
    let probe = try scene.probeLibrary(0x1100) { $0.isDisabled = true }
    try scene.run(until: { _ in scene.values.count == 1 })
    #expect(
      refusal { try scene.probes.setEnabled(probe, true) } == scene.facts.undefined.errno)
    #expect(!probe.isEnabled)
    scene.finish([84, 87])
  }

  @Test("U80 taken away, a probe leaves nothing behind: text, memory, tables", arguments: guests)
  func cleanup(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1zx2")
    let va = try scene.address("xorfn")
    try scene.run(until: { $0 == va })
    let text = scene.text(va, 4)
    let probe = try scene.probe("xorfn")
    let ret = try scene.returns("xorfn")
    try scene.run(until: { _ in scene.values.count == 1 })
    #expect(scene.isArmed(va))
    scene.probes.unregister(probe)
    scene.probes.unregister(ret)
    #expect(scene.text(va, 4) == text)
    #expect(scene.probes.uprobes.points.isEmpty && scene.probes.uprobes.files.isEmpty)
    scene.finish([84, 87])
    #expect(probe.hits == 1 && ret.hits == 1)
  }

  @Test("U80 a handler may take its own probe away, and others", arguments: guests)
  func unregisterInAHandler(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x2x3")
    var own: Uprobe?
    var other: Uprobe?
    var order: [String] = []
    other = try scene.probe("xorfn") { _ in
      order.append("other")
      return .continue
    }
    own = try scene.probe("xorfn") { _ in
      order.append("own")
      if let own { scene.probes.unregister(own) }
      if let other { scene.probes.unregister(other) }
      return .continue
    }
    scene.finish([84, 87, 86])
    // The other one's handler does not run any more, not for this hit either.
    #expect(order == ["own"])
    #expect(own?.isRegistered == false && other?.isRegistered == false)
  }

  @Test("a handler may register probes: here, further on, and elsewhere", arguments: guests)
  func registerInAHandler(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x2U1")
    var made: [Uprobe] = []
    let entry: (ProbeContext) -> ProbeAction = { _ in .continue }
    try scene.probe("xorfn") { _ in
      guard made.isEmpty else { return .continue }
      if let here = try? scene.probe("xorfn", entry) { made.append(here) }
      if let next = try? scene.probes.registerUprobe(
        UprobeRequest(scene.program, offset: scene.rig.offset("xorfn") + 4, entry: entry))
      {
        made.append(next)
      }
      if let far = try? scene.probe("inner", entry) { made.append(far) }
      return .continue
    }
    scene.finish([84, 87, 7])
    // The next instruction is hit on the way out already.
    #expect(made.map(\.hits) == [1, 2, 1])
  }
}
