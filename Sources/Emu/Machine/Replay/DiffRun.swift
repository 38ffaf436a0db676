import Engine
import TraceFile

/// `emu diff`: where two recorded runs part.
public enum DiffRun {
  /// Statuses of `emu diff`.
  public enum Status {
    /// The runs are the same.
    public static let same: Int32 = 0
    /// They are not.
    public static let different: Int32 = 1
  }

  /// Instructions between two comparisons of the whole state.
  private static let step: UInt64 = 1 << 22
  /// Instructions that are shown before the first difference.
  private static let context: UInt64 = 8

  /// Compares two traces.
  public static func run(_ paths: [String], engine: BackEnd = .standard) -> RunReport {
    do throws(LaunchError) {
      var sides: [ReplayedRun] = []
      for path in paths {
        var options = ReplayRun.Options()
        options.input = path
        options.engine = engine
        options.isQuiet = true
        sides.append(try ReplayedRun(options))
      }
      guard sides.count == 2 else {
        throw LaunchError(description: "two traces are compared", status: RunReport.Status.usage)
      }
      return try compare(sides[0], sides[1], paths)
    } catch {
      return error.report
    }
  }

  private static func compare(
    _ one: ReplayedRun, _ two: ReplayedRun, _ paths: [String]
  ) throws(LaunchError) -> RunReport {
    var lines = describe(one.recording, two.recording, paths)
    let start = one.session.stateHash() == two.session.stateHash()
    let place: UInt64?
    if start {
      place = try stateDifference(one, two)
    } else {
      lines.append("the machines are not the same at the start; the paths of their instructions:")
      place = try pathDifference(one, two)
    }
    guard let place else {
      let ends = [one, two].map { "\($0.session.count)" }
      if ends[0] != ends[1] {
        lines.append("one ends at instruction \(ends[0]), the other at \(ends[1])")
      } else if start, lines.isEmpty {
        return RunReport(status: Status.same)
      } else if start {
        lines.append("all \(ends[0]) instructions and their effects are the same")
      } else {
        lines.append("all \(ends[0]) instructions are the same")
      }
      return report(lines, start && ends[0] == ends[1] ? Status.same : Status.different)
    }
    lines.append("first difference at instruction \(place)")
    for (side, path) in zip([one, two], paths) {
      lines.append("\(path):")
      lines += try show(side, around: place).map { "  " + $0 }
    }
    return report(lines, Status.different)
  }

  private static func report(_ lines: [String], _ status: Int32) -> RunReport {
    if let problem = Listing.print(lines.map { $0 + "\n" }.joined()) {
      return RunReport(status: RunReport.Status.failure, problem)
    }
    return RunReport(status: status)
  }

  /// What differs in what the runs were made of, and in the answers of the world.
  private static func describe(
    _ one: RecordedRun, _ two: RecordedRun, _ paths: [String]
  ) -> [String] {
    var lines: [String] = []
    var names: [String] = []
    for pair in one.description.pairs + two.description.pairs where !names.contains(pair.name) {
      names.append(pair.name)
    }
    for name in names {
      let values = [one, two].map { $0.description.all(name).joined(separator: " ") }
      if values[0] != values[1] { lines.append("\(name): '\(values[0])' and '\(values[1])'") }
    }
    for (index, (mine, theirs)) in zip(one.entries, two.entries).enumerated() where mine != theirs {
      lines.append(
        "answer \(index): \(mine.choice.question) at instruction \(mine.count), and "
          + "\(theirs.choice.question) at instruction \(theirs.count)"
          + (mine.choice.question == theirs.choice.question ? ", answered otherwise" : ""))
      break
    }
    return lines
  }

  // MARK: By state

  /// The first instruction behind which the states differ; `nil` where none does.
  private static func stateDifference(
    _ one: ReplayedRun, _ two: ReplayedRun
  ) throws(LaunchError) -> UInt64? {
    var equal = try snapshots(one, two)
    var count = one.session.count
    var length = step
    while !Interruption.requested {
      let (next, overflow) = count.addingReportingOverflow(length)
      guard !overflow else { return nil }
      let goesOn = [try one.advance(to: next), try two.advance(to: next)]
      let isSame =
        one.session.count == two.session.count && goesOn[0] == goesOn[1]
        && one.session.stateHash() == two.session.stateHash()
      if isSame {
        guard goesOn[0] else { return nil }
        count = next
        // A failed step was halved: the difference is in what is left of it.
        if length < step { length = max(length / 2, 1) }
        equal = try snapshots(one, two)
        continue
      }
      if length == 1 { return count }
      guard let (mine, theirs) = equal else { return try pathDifference(one, two) }
      try restore(one, mine)
      try restore(two, theirs)
      length = max(length / 2, 1)
    }
    return nil
  }

  private static func snapshots(
    _ one: ReplayedRun, _ two: ReplayedRun
  ) throws(LaunchError) -> (MachineSnapshot, MachineSnapshot)? {
    do throws(SnapshotError) {
      guard let mine = try one.session.takeSnapshot(), let theirs = try two.session.takeSnapshot()
      else { return nil }
      return (mine, theirs)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.failure)
    }
  }

  private static func restore(
    _ side: ReplayedRun, _ snapshot: MachineSnapshot
  ) throws(LaunchError) {
    do throws(SnapshotError) {
      try side.restore(snapshot)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.failure)
    }
  }

  // MARK: By path

  /// Notes where a hart goes.
  private final class PathWatch: InsnObserver {
    var steps: [(count: UInt64, pc: UInt64)] = []
    func willExecute(_ pc: UInt64, on hart: Hart) { steps.append((hart.count, pc)) }
  }

  /// The first instruction that is elsewhere; `nil` where none is.
  private static func pathDifference(
    _ one: ReplayedRun, _ two: ReplayedRun
  ) throws(LaunchError) -> UInt64? {
    let watches = [PathWatch(), PathWatch()]
    let sides = [one, two]
    for (side, watch) in zip(sides, watches) {
      for hart in side.session.harts { hart.observe(watch) }
    }
    defer { for side in sides { for hart in side.session.harts { hart.observe(nil) } } }
    while !Interruption.requested {
      let count = one.session.count
      let next = count &+ 1 << 16
      let goesOn = [try one.advance(to: next), try two.advance(to: next)]
      for (mine, theirs) in zip(watches[0].steps, watches[1].steps) where mine != theirs {
        return min(mine.count, theirs.count)
      }
      guard goesOn[0], goesOn[1] else { return nil }
      for watch in watches { watch.steps.removeAll(keepingCapacity: true) }
    }
    return nil
  }

  // MARK: Showing

  /// The instructions around a place, as `emu trace` has them.
  private static func show(
    _ side: ReplayedRun, around place: UInt64
  ) throws(LaunchError) -> [String] {
    var options = ReplayRun.Options()
    options.input = side.recording.file.path
    options.isQuiet = true
    let again = try ReplayedRun(options)
    _ = try again.travel(to: place &- min(place, context))
    var lines: [String] = []
    try TraceRun.trace(again, to: place &+ 1) {
      for line in $0.split(separator: "\n") { lines.append(String(line)) }
    }
    return lines
  }
}
