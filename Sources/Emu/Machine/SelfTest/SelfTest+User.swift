import Engine
import GuestKernel
import Image
import Probes

extension SelfTest {
  static var uprobes: Suite {
    Suite(
      name: "uprobes",
      cases: [
        Case("test_uprobe") { rig in
          var seen: [UInt64] = []
          let probe = try rig.probes.registerUprobe(
            UprobeRequest(
              rig.file, offset: try rig.function("target"),
              entry: {
                seen.append($0.argument(1) ?? 0)
                return .continue
              }))
          try rig.run("u")
          // `outer` calls it too.
          rig.expect(seen, is: [84, 82], "arguments")
          rig.expect(probe.hits, is: 2, "hits")
        },
        Case("test_uprobe_while_it_runs") { rig in
          try rig.start("u")
          let probe = try rig.probes.registerUprobe(
            UprobeRequest(
              rig.file, offset: try rig.function("target2"), entry: { _ in .continue }))
          try rig.run("u")
          rig.expect(probe.hits, is: 1, "hits")
        },
        Case("test_uprobe_consumers") { rig in
          let offset = try rig.function("target2")
          let probes = try (0..<3).map { _ in
            try rig.probes.registerUprobe(
              UprobeRequest(rig.file, offset: offset, entry: { _ in .continue }))
          }
          try rig.probes.setEnabled(probes[1], false)
          try rig.run("u")
          rig.expect(probes.map(\.hits), is: [1, 0, 1], "hits")
        },
        Case("every_insn_of_the_program") { rig in
          let probes = rig.everyInsn()
          try rig.run("u")
          let hit = probes.filter { $0.hits > 0 }
          rig.expect(hit.count > 300, "only \(hit.count) instructions were hit")
          rig.note(
            "\(probes.count) probed, \(hit.count) hit, "
              + "\(probes.reduce(0) { $0 &+ $1.hits }) hits")
        },
        Case("fork") { rig in
          let probe = try rig.probes.registerUprobe(
            UprobeRequest(
              rig.file, offset: try rig.function("target2"), entry: { _ in .continue }))
          try rig.run("f")
          rig.expect(probe.hits, is: 2, "hits in parent and child")
        },
        Case("late_map") { rig in
          var addresses: Set<UInt64> = []
          let probe = try rig.probes.registerUprobe(
            UprobeRequest(
              rig.file, offset: try rig.function("tail_third"),
              entry: {
                addresses.insert($0.pc)
                return .continue
              }))
          try rig.run("m")
          rig.expect(probe.hits, is: 1, "hits in the second mapping")
          rig.expect(addresses.count, is: 1, "addresses")
        },
        Case("fault_in_the_slot") { rig in
          let probes = rig.everyInsn(of: "load")
          // The program checks the address that its handler is told.
          try rig.run("s")
          rig.expect(probes.contains { $0.hits > 0 }, "no instruction of the load was hit")
        },
        Case("signals_while_stepping") { rig in
          let probes = rig.everyInsn()
          // The program checks that signals came.
          try rig.run("t", count: 12)
          rig.expect(probes.filter { $0.hits > 0 }.count > 300, "few instructions were hit")
        },
        Case("reference_counter") { rig in
          guard let counter = rig.program.symbols.symbol("selftest_semaphore") else { return }
          var request = UprobeRequest(
            rig.file, offset: try rig.function("target2"), entry: { _ in .continue })
          guard
            let segment = rig.program.header.loadable.last(where: {
              counter.address &- $0.address < $0.memorySize
            })
          else { return }
          request.referenceCounter = segment.offset &+ (counter.address &- segment.address)
          _ = try rig.probes.registerUprobe(request)
          try rig.start("r")
          // The program's exit status is the counter: one for each mapping of the place, of which
          // there are two where the text begins in the last page of what is before it.
          let exit = rig.machine.run(limit: 100_000_000)
          rig.expect(
            exit == .ended(.exited(1)) || exit == .ended(.exited(2)),
            "the program saw another counter: \(exit)")
        },
        Case("refusals") { rig in
          let offset = try rig.function("target")
          rig.refused(.EINVAL, "a probe without a handler") {
            _ = try rig.probes.registerUprobe(UprobeRequest(rig.file, offset: offset))
          }
          rig.refused(.EINVAL, "an offset behind the end") {
            _ = try rig.probes.registerUprobe(
              UprobeRequest(rig.file, offset: 1 << 40, entry: { _ in .continue }))
          }
          rig.refused(.ENOENT, "a file that is not there") {
            _ = try rig.probes.registerUprobe(
              UprobeRequest(.path("/nothing"), offset: 0, entry: { _ in .continue }))
          }
        },
      ])
  }

  static var uretprobes: Suite {
    Suite(
      name: "uretprobes",
      cases: [
        Case("test_uretprobe") { rig in
          var values: [UInt64] = []
          _ = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("outer")
          ) { values.append($0.returnValue) }
          try rig.run("u")
          rig.expect(values, is: [42], "values that were returned")
        },
        Case("recursion") { rig in
          var entries = 0
          let probe = try rig.probes.registerUprobe(
            UprobeRequest(
              rig.file, offset: try rig.function("fib"),
              entry: { _ in
                entries += 1
                return .continue
              }, ret: { _ in }))
          try rig.run("u")
          rig.expect(entries > 50, "only \(entries) calls")
          rig.expect(probe.hits, is: UInt64(entries), "returns")
        },
        Case("tail_calls") { rig in
          var seen: [String] = []
          for name in ["tail_first", "tail_second", "tail_third"] {
            _ = try rig.probes.registerUretprobe(
              rig.file, offset: try rig.function(name)
            ) { _ in seen.append(name) }
          }
          try rig.run("u")
          rig.expect(
            seen, is: ["tail_third", "tail_second", "tail_first"], "functions that returned")
        },
        Case("longjmp") { rig in
          let thrower = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("thrower")
          ) { _ in }
          let catcher = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("catcher")
          ) { _ in }
          let target = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("target")
          ) { _ in }
          try rig.run("u", count: 3)
          rig.expect(thrower.hits, is: 0, "returns of a function that never returns")
          rig.expect(catcher.hits, is: 3, "returns of the function that is jumped to")
          rig.expect(target.hits, is: 6, "returns behind")
        },
        Case("fork_with_pending_returns") { rig in
          // The return of `forks` is awaited across the fork: only the parent's comes.
          let across = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("forks")
          ) { _ in }
          let deep = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("deep")
          ) { _ in }
          try rig.run("f")
          rig.expect(across.hits, is: 1, "returns across the fork")
          rig.expect(deep.hits, is: 42, "returns in parent and child")
        },
        Case("depth") { rig in
          let probe = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("deep")
          ) { _ in }
          try rig.run("u")
          rig.expect(probe.hits, is: 21, "returns")
        },
        Case("unregister_while_awaited") { rig in
          final class Box { var probe: Uprobe? }
          let box = Box()
          box.probe = try rig.probes.registerUretprobe(
            rig.file, offset: try rig.function("deep")
          ) { _ in if let probe = box.probe { rig.probes.unregister(probe) } }
          try rig.run("u", count: 2)
          rig.expect(box.probe?.hits ?? 0, is: 1, "returns until it unregistered itself")
        },
      ])
  }

  static var events: Suite {
    Suite(
      name: "events",
      cases: [
        Case("kprobe_event") { rig in
          var lines: [String] = []
          let tracer = ProgramProbes(rig.machine, subsystem: rig.probes).tracer
          tracer.output = { lines.append(String(decoding: $0, as: UTF8.self)) }
          try tracer.add("p:test/target kprobe_target2 value=$arg1:u32")
          try tracer.add("r:test/ret kprobe_target2 $retval:u32")
          try rig.runTargets()
          rig.expect(lines.count, is: 2, "lines")
          rig.expect(lines.first?.contains("value=84") ?? false, "no value: \(lines)")
          rig.expect(lines.last?.contains("arg1=43") ?? false, "no result: \(lines)")
        },
        Case("uprobe_event") { rig in
          var lines: [String] = []
          let tracer = ProgramProbes(rig.machine, subsystem: rig.probes).tracer
          tracer.output = { lines.append(String(decoding: $0, as: UTF8.self)) }
          try tracer.add("p:test/outer \(SelfTestRig.path):outer value=$arg1:u64")
          try tracer.add("r:test/ret \(SelfTestRig.path):outer $retval:u64")
          try rig.run("u")
          rig.expect(lines.count, is: 2, "lines")
          rig.expect(lines.first?.contains("value=82") ?? false, "no value: \(lines)")
          rig.expect(lines.last?.contains("arg1=42") ?? false, "no result: \(lines)")
        },
        Case("profile") { rig in
          let tracer = ProgramProbes(rig.machine, subsystem: rig.probes).tracer
          tracer.output = { _ in }
          try tracer.add("p:test/fib probe_fib")
          try rig.runTargets()
          rig.expect(tracer.hits.rows.map(\.hits), is: [177], "hits in the table")
          rig.expect(tracer.hits.rows.map(\.missed), is: [0], "misses in the table")
        },
      ])
  }
}
