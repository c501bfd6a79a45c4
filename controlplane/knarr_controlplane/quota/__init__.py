"""What a namespace may use: LimitRanges for each pod, ResourceQuotas for all objects together. All of it is pure."""
