/// How often events were hit and missed, at the end of a run.
///
/// - SeeAlso: Linux, `kernel/trace/trace_kprobe.c`, `probes_profile_seq_show`: the file
///   `kprobe_profile`.
public struct HitTable: Sendable, Equatable {
  /// One event.
  public struct Row: Sendable, Equatable {
    /// Its group and name.
    public var group, event: String
    /// How often it was hit.
    public var hits: UInt64
    /// How often it would have been, but for another probe or a lack of instances.
    public var missed: UInt64

    /// A row of the given parts.
    public init(group: String, event: String, hits: UInt64, missed: UInt64) {
      self.group = group
      self.event = event
      self.hits = hits
      self.missed = missed
    }
  }

  /// The events, in the order in which they were defined.
  public var rows: [Row]

  /// A table of the given rows.
  public init(rows: [Row]) { self.rows = rows }

  /// The table: event, hits, missed.
  public func text(_ format: TraceFormat) -> [UInt8] {
    var text = ""
    for row in rows {
      switch format {
      case .text:
        text += "  \(row.event.padded(-44)) \(String(row.hits).padded(15)) "
        text += "\(String(row.missed).padded(15))\n"
      case .json:
        text += "{\"type\":\"profile\",\"group\":\"\(row.group)\",\"event\":\"\(row.event)\""
        text += ",\"hits\":\(row.hits),\"missed\":\(row.missed)}\n"
      }
    }
    return Array(text.utf8)
  }
}
